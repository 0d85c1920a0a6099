"""A real browser on a real server: Debian's Chromium, headless, with every host but ours unreachable."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.request import urlopen

import pytest

from planner.store.engine import upgrade
from tests.http import worlds
from tests.notebooks.conftest import STORED
from tests.studies.databases import two_studies

pytest.importorskip("fastapi", reason="the service is not installed: pip install '.[service]'")
pytest.importorskip("selenium", reason="selenium is not installed: pip install selenium")

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from tests.http.conftest import Served, serve

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
WAIT_SECONDS = 60
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-prefers-reduced-motion", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Page:
    """What a test does with a page."""

    def __init__(self, driver: webdriver.Chrome, server: str, screenshots: Path) -> None:
        self.driver, self.server, self.screenshots = driver, server, screenshots

    def open(self, path: str, wait_for: str | None = None) -> None:
        self.driver.get(self.server + path)
        if wait_for:
            self.wait(lambda: self.text(wait_for))

    def run(self, script: str, *given: object) -> object:
        return self.driver.execute_script(script, *given)

    def text(self, selector: str) -> str:
        """The text of an element as it is shown (of a drawing: all of it); empty without one."""
        script = "const n = document.querySelector(arguments[0]); return n?.innerText ?? n?.textContent ?? ''"
        return str(self.run(script, selector)).replace("\u00a0", " ")

    def wait(self, condition: Callable[[], object]) -> object:
        return WebDriverWait(self.driver, WAIT_SECONDS, 0.1).until(lambda _: condition())

    def slide(self, selector: str, step: int) -> None:
        """Move a slider as a hand does: the value, then its event."""
        self.run(
            "const s = document.querySelector(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event('input', {bubbles: true}))", selector, step,
        )  # fmt: skip

    def type(self, selector: str, text: str) -> None:
        self.run(
            "const f = document.querySelector(arguments[0]); f.value = arguments[1];"
            "f.dispatchEvent(new Event('change', {bubbles: true}))", selector, text,
        )  # fmt: skip

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def size(self, width: int, height: int) -> None:
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )

    def scheme(self, name: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": name}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def shoot(self, name: str) -> bytes:
        """A picture of the page, kept under its name."""
        found = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
        picture = base64.b64decode(found["data"])
        self.screenshots.mkdir(parents=True, exist_ok=True)
        (self.screenshots / f"{name}.png").write_bytes(picture)
        return picture

    def requests(self) -> list[str]:
        """URLs that were asked for since the last call."""
        events = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        return [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What the browser wrote to its console, but for answers that are no success."""
        lines = [e["message"] for e in self.driver.get_log("browser")]
        return [x for x in lines if "Failed to load resource" not in x]


def browser(profile: Path) -> webdriver.Chrome:
    """Debian's Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    found.set_page_load_timeout(WAIT_SECONDS)
    found.set_script_timeout(WAIT_SECONDS)
    return found


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium chromium-driver")
    found = browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.quit()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wanted = os.environ.get("SOUNDSCALE_SCREENSHOTS")
    return Path(wanted) if wanted else tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="session")
def structured_db(tmp_path_factory: pytest.TempPathFactory) -> str:
    return worlds.structured(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def server(structured_db: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    log = tmp_path_factory.mktemp("log") / "log"
    found = serve(structured_db, "--rate", "0", "--log", "json", log=log)
    yield found
    found.stop()


@pytest.fixture
def page(driver: webdriver.Chrome, server: Served, screenshots: Path) -> Page:
    found = Page(driver, server.url, screenshots)
    found.size(1280, 900)
    found.scheme("light")
    driver.get("about:blank")
    found.requests()
    driver.get_log("browser")
    return found


@pytest.fixture(scope="session")
def scored_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of runs that kept their utterances, steps and durations: a real quickstart's."""
    folder = tmp_path_factory.mktemp("scored")
    db = str(shutil.copy(STORED, folder / "quickstart.db"))
    upgrade(db)
    with closing(sqlite3.connect(db)) as plain, plain:
        plain.execute(
            "UPDATE runs SET artifact = ? WHERE run_id = 1", (f"/srv/sweeps/{'0f' * 32}",)
        )
    found = serve(db, "--rate", "0", "--log", "none", log=folder / "log")
    yield found
    found.stop()


@pytest.fixture
def scored_page(driver: webdriver.Chrome, scored_server: Served, screenshots: Path) -> Page:
    found = Page(driver, scored_server.url, screenshots)
    found.size(1280, 900)
    found.scheme("light")
    driver.get_log("browser")
    return found


@pytest.fixture(scope="session")
def studies_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a study that has ended and one that goes on, on simulated trainers."""
    folder = tmp_path_factory.mktemp("studies")
    found = serve(two_studies(folder), "--rate", "0", "--log", "none", log=folder / "log")
    yield found
    found.stop()


@pytest.fixture
def studies_page(driver: webdriver.Chrome, studies_server: Served, screenshots: Path) -> Page:
    found = Page(driver, studies_server.url, screenshots)
    found.size(1280, 900)
    found.scheme("light")
    driver.get("about:blank")
    found.requests()
    driver.get_log("browser")
    return found


def _json_of(server: Served) -> Callable[[str], dict]:
    def get(path: str) -> dict:
        with urlopen(server.url + path, timeout=WAIT_SECONDS) as answer:
            return json.load(answer)

    return get


@pytest.fixture
def client_json(server: Served) -> Callable[[str], dict]:
    """What the service answers to a program."""
    return _json_of(server)


@pytest.fixture
def scored_json(scored_server: Served) -> Callable[[str], dict]:
    """The same of the quickstart's runs."""
    return _json_of(scored_server)
