"""Rules for further test sets: what a tuned model may at most err there, written `general<=+1pt`.

A tuned model can gain on the speech that it was tuned for and lose on other speech. A rule names a further
test set and either an error (`general<=9%`) or a change against the untrained checkpoint of the same
backbone in points of its error rate (`general<=+1pt`; `-0.5pt` asks for a gain).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.errors import InputError

_RULE = re.compile(
    r"(?P<name>[^<>=,\s]+)\s*<=\s*(?P<sign>[+-]?)\s*(?P<number>\d+(?:\.\d*)?|\.\d+)\s*(?P<unit>pt|points?|%|)"
)
MOST_RULES = 8
"""Rules in one question (assumption: each costs a law)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What may be erred on one further test set.

    Attributes:
        test_set: its name.
        most: as a fraction: of the error rate, or of its change.
        over_untrained: whether it is a change against the untrained checkpoint.
    """

    test_set: str
    most: float
    over_untrained: bool

    def __str__(self) -> str:
        if self.over_untrained:
            return f"{self.test_set}<={100 * self.most:+g}pt"
        return f"{self.test_set}<={100 * self.most:g}%"


def rules_of(text: str | None) -> tuple[Rule, ...]:
    """The rules of a question, commas between them; none where it has none.

    >>> [str(rule) for rule in rules_of("general<=+1pt, clean <= 0.08")]
    ['general<=+1pt', 'clean<=8%']

    Raises:
        InputError: one cannot be read, or two are of one set.
    """
    if text is None:
        return ()
    rules = tuple(_rule(part) for part in text.split(","))
    names = [rule.test_set for rule in rules]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"keep has two rules for {twice[0]}; give the stricter one")
    if len(rules) > MOST_RULES:
        raise InputError(f"keep takes at most {MOST_RULES} rules, got {len(rules)}")
    return rules


def _rule(part: str) -> Rule:
    found = _RULE.fullmatch(part.strip())
    if found is None:
        raise InputError(
            f"keep: {part.strip()!r} cannot be read; write SET<=+1pt (points above the untrained checkpoint) "
            "or SET<=9% (errors)"
        )
    name, sign, unit = found["name"], found["sign"], found["unit"]
    change = unit.startswith("p")
    # Points without a sign are above: a + in a URL arrives as a space.
    if sign and not change:
        raise InputError(
            f"keep: {part.strip()!r} is neither a change ({name}<=+1pt) nor an error ({name}<=9%)"
        )
    value = float(sign + found["number"])
    most = value / 100 if unit else value
    if not change and not 0 < most <= 1:
        raise InputError(f"keep: an error lies between 0 and 100 %, got {part.strip()!r}")
    return Rule(test_set=name, most=most, over_untrained=change)
