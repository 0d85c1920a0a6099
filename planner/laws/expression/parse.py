"""From text to a tree: numbers, names, + - * / ^, brackets, exp ln log log10 sqrt; and nothing else.

    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = ("+" | "-") signed | power
    power   = atom [ ("^" | "**") signed ]
    atom    = number | name | function "(" sum ")" | "(" sum ")"

So -x^2 is -(x^2), x^-a is x^(-a) and a^b^c is a^(b^c).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from planner.errors import InputError
from planner.laws.expression.tree import FUNCTIONS, Binary, Call, Name, Node, Number

LONGEST = 2000
"""Characters of a formula, and with `DEEPEST` what keeps the recursion within Python's (assumption)."""
DEEPEST = 60
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|[-+*/^()]))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: int


def parse(text: str) -> Node:
    """The tree of a formula.

    >>> from planner.laws.expression.tree import text_of
    >>> text_of(parse("E + A*n**-a + (B*(d))^-b"))
    'E + A*n^-a + (B*d)^-b'

    Raises:
        InputError: it is no formula; the message names the place.
    """
    if len(text) > LONGEST:
        raise InputError(f"a formula has at most {LONGEST} characters, got {len(text)}")
    reader = _Reader(text, _tokens(text))
    node = reader.sum(0)
    if reader.here.kind != "end":
        raise reader.wrong("an operator")
    return node


def _tokens(text: str) -> list[_Token]:
    tokens, place = [], 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            at = place + len(text[place:]) - len(text[place:].lstrip())
            raise InputError(
                f"formula {text!r} holds {text[at]!r} at character {at + 1}; use numbers, names, "
                f"+ - * / ^ ( ) and {', '.join(n for n in FUNCTIONS if n != 'neg')}"
            )
        kind = str(found.lastgroup)
        word = found[kind]
        tokens.append(_Token(kind, "^" if word == "**" else word, found.start(kind)))
        place = found.end()
    return [*tokens, _Token("end", "", len(text))]


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self.text, self.tokens, self.at = text, tokens, 0

    @property
    def here(self) -> _Token:
        """The token that is next."""
        return self.tokens[self.at]

    def wrong(self, wanted: str) -> InputError:
        """What stands where something else was wanted."""
        found = repr(self.here.text) if self.here.kind != "end" else "its end"
        return InputError(
            f"formula {self.text!r} has {found} at character {self.here.place + 1}, where {wanted} must stand"
        )

    def took(self, *signs: str) -> str | None:
        """The sign, taken, where one of those is next."""
        if self.here.kind == "sign" and self.here.text in signs:
            self.at += 1
            return self.tokens[self.at - 1].text
        return None

    def sum(self, depth: int) -> Node:
        """Products added."""
        node = self.product(depth)
        while (sign := self.took("+", "-")) is not None:
            node = Binary(sign, node, self.product(depth))
        return node

    def product(self, depth: int) -> Node:
        """Factors multiplied."""
        node = self.signed(depth)
        while (sign := self.took("*", "/")) is not None:
            node = Binary(sign, node, self.signed(depth))
        return node

    def signed(self, depth: int) -> Node:
        """A power with its sign."""
        if depth > DEEPEST:
            raise InputError(f"formula {self.text[:40]!r}… is nested deeper than {DEEPEST} times")
        sign = self.took("+", "-")
        if sign is None:
            return self.power(depth)
        node = self.signed(depth + 1)
        return node if sign == "+" else Call("neg", node)

    def power(self, depth: int) -> Node:
        """An atom, raised."""
        node = self.atom(depth)
        if self.took("^") is not None:
            return Binary("^", node, self.signed(depth + 1))
        return node

    def atom(self, depth: int) -> Node:
        """A number, a name, a call or a bracket."""
        token = self.here
        if token.kind == "number":
            self.at += 1
            return Number(float(token.text))
        if token.kind == "name":
            self.at += 1
            if token.text in FUNCTIONS and token.text != "neg":
                return Call(token.text, self.bracket(depth, f"( behind {token.text}"))
            return Name(token.text)
        return self.bracket(depth, "a number, a name or (")

    def bracket(self, depth: int, wanted: str) -> Node:
        """What stands in brackets."""
        if self.took("(") is None:
            raise self.wrong(wanted)
        node = self.sum(depth + 1)
        if self.took(")") is None:
            raise self.wrong(")")
        return node
