"""The README's promises are the names of tests."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_of_the_readme_is_a_test():
    readme = (ROOT / "README.md").read_text()
    promised = set(re.findall(r"`(test_\w+)`", readme.split("### What a campaign promises")[1]))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(promised) >= 10
    assert promised <= defined
