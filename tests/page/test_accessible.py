"""axe-core, in the browser, on every page at three widths, light and dark: nothing serious.

Needs npm, which fetches axe-core alone; by hand: `pytest -m slow tests/page/test_accessible.py`.
"""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow

VERSION = "4.14.1"
PAGES = {
    "/?task=asr&flops=30G&latency_ms=60ms": "#sentence",
    "/?task=asr&flops=30G&latency_ms=10ms": "#answer .trouble",
    "/runs?run=1": "#detail dl",
    "/fits": "#list table",
    "/sweeps": "#list",
    "/studies": "#list .trouble",
    "/sql": "#result table",
}
WIDTHS = (390, 768, 1280)


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The text of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: apt-get install npm")
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{VERSION}"],
        cwd=folder, check=True, timeout=300,
    )  # fmt: skip
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_nothing_serious_to_find(page, axe, path, width, scheme):
    page.size(width, 900)
    page.scheme(scheme)
    page.open(path, wait_for=PAGES[path])
    assert serious(page, axe) == []


def serious(page, axe):
    """What axe finds that is serious or critical: impact, rule, places."""
    page.run(axe)
    found = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run(document, {resultTypes: ['violations']})"
        ".then((r) => done(r.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.target.join(' '))])))"
    )
    return [one for one in found if one[0] in ("serious", "critical")]
