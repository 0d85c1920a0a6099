"""Rules for further test sets: how they are written, and what is refused."""

import pytest

from planner.errors import InputError
from planner.words.keep import Rule, rules_of
from planner.words.question import PlanQuery


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("general<=+1pt", Rule(test_set="general", most=0.01, over_untrained=True)),
        ("general <= -0.5 points", Rule(test_set="general", most=-0.005, over_untrained=True)),
        # What a + in a URL arrives as.
        ("general<= 1pt", Rule(test_set="general", most=0.01, over_untrained=True)),
        ("a.b-c<=9%", Rule(test_set="a.b-c", most=0.09, over_untrained=False)),
        ("hard<=100%", Rule(test_set="hard", most=1.0, over_untrained=False)),
        ("clean<=.08", Rule(test_set="clean", most=0.08, over_untrained=False)),
    ],
)
def test_a_rule_is_of_a_change_in_points_or_of_an_error(text, rule):
    assert rules_of(text) == (rule,)
    assert rules_of(str(rule)) == (rule,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("general", "cannot be read"),
        ("general<1pt", "cannot be read"),
        ("general<=-9%", "neither a change"),
        ("general<=+9%", "neither a change"),
        ("general<=900%", "between 0 and 100"),
        ("", "cannot be read"),
        ("a<=+1pt,a<=9%", "two rules for a"),
        (",".join(f"s{i}<=9%" for i in range(9)), "at most 8"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_when_it_is_asked(text, said):
    with pytest.raises(InputError, match=said):
        PlanQuery(task="asr", keep=text)


def test_a_question_without_rules_has_none_and_says_nothing_of_them():
    from planner.words.records import to_json

    assert rules_of(None) == ()
    assert not {"keep", "test_set"} & to_json(PlanQuery(task="asr")).keys()
