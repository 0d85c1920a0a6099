"""The picture of the page in the README and the documentation, from a database of real runs.

python tests/page/picture.py soundscale.db docs/page.png ['/?task=asr&flops=20G&latency_ms=2s']
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.http.conftest import serve  # noqa: E402
from tests.page.conftest import Page, browser  # noqa: E402

QUESTION = "/?task=asr&flops=20G&latency_ms=2s&engine=any"
"""As the quickstart asks."""
WIDTH, HEIGHT = 1280, 800


def picture(db: Path, target: Path, question: str) -> None:
    """Write what the page shows of a copy of the database, in light colours."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(db, Path(folder) / "runs.db")
        found = serve(str(copy), "--log", "none", log=Path(folder) / "log")
        driver = browser(Path(folder) / "profile")
        try:
            page = Page(driver, found.url, target.parent)
            page.size(WIDTH, HEIGHT)
            page.scheme("light")
            page.open(question, wait_for="#sentence")
            page.wait(lambda: page.run("return document.querySelector('#frontier svg') !== null"))
            page.shoot(target.stem)
        finally:
            driver.quit()
            found.stop()


if __name__ == "__main__":
    picture(Path(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or [QUESTION])[0])
