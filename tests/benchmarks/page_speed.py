"""First paint and weight of the page on 10,000 runs in headless Chromium, and how far SQL oversteps its limit.

Run: python tests/benchmarks/page_speed.py [N_RUNS]

Needs chromium and chromedriver. Paint times are the browser's own (first-contentful-paint), each of a
fresh load without a cache; every request is checked to go to the service alone.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.http import worlds  # noqa: E402
from tests.http.conftest import serve  # noqa: E402
from tests.page.test_planner import MOST_BYTES, SENT  # noqa: E402

PAINT = "const p = performance.getEntriesByName('first-contentful-paint')[0]; return p ? p.startTime : null"
HOSTILE = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "SELECT count(*) FROM runs a, runs b, runs c, trials d WHERE a.run_id + b.run_id + c.run_id < 0",
    "SELECT max(length(printf('%100000s', a.host || b.run_id))) FROM runs a, runs b",
)
"""Without an end, or as good as; each in another part of the engine."""


def filled(folder: Path, n: int) -> str:
    """A database of n imported runs: the tests' made-up law with seeds."""
    from planner.service import fitting

    base = worlds.rows()
    rows = [
        row | {"seed": seed, "error": row["error"] * (1 + 0.001 * ((7 * seed + i) % 13 - 6))}
        for seed in range(-(-n // len(base)))
        for i, row in enumerate(base)
    ]
    db = str(folder / "many.db")
    fitting.import_results(db, str(worlds.write_table(folder / "bench.csv", rows[:n])))
    return db


def browser(folder: Path) -> Any:
    """Headless Chromium that reaches this machine alone."""
    from selenium import webdriver

    from tests.page.conftest import CHROMIUM, DRIVER, FLAGS

    if CHROMIUM is None or DRIVER is None:
        raise SystemExit("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def paints(driver: Any, url: str, path: str, ready: str, n: int = 5) -> None:
    """One line on n loads: first paint, and when the part that answers was there."""
    first, whole = [], []
    for _ in range(n):
        driver.get("about:blank")
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        start = time.perf_counter()
        driver.get(url + path)
        while not driver.execute_script(
            "return document.querySelector(arguments[0])?.textContent", ready
        ):
            time.sleep(0.01)
        whole.append(time.perf_counter() - start)
        while (found := driver.execute_script(PAINT)) is None:
            time.sleep(0.01)
        first.append(found)
    sent = sum(n for _, n in driver.execute_script(SENT))
    verdict = "met" if statistics.median(first) < 1000 and sent < MOST_BYTES else "MISSED"
    print(
        f"{path:24s} first paint median {statistics.median(first):5.0f} ms, worst {max(first):5.0f} ms"
        f" (< 1000)  answer shown median {1e3 * statistics.median(whole):6.0f} ms, {sent / 1e3:.0f} kB as sent"
        f" (< {MOST_BYTES / 1e3:.0f})  {verdict}"
    )


def elsewhere(driver: Any, url: str) -> list[str]:
    """Requests that left the service."""
    events = (json.loads(e["message"])["message"] for e in driver.get_log("performance"))
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    return [a for a in asked if not a.startswith((url, "data:", "about:", "blob:", "chrome:"))]


def overshoot(url: str, limit: float = 1.0, n: int = 8) -> None:
    """How long past the limit the SQL page answers to statements without an end."""
    past = []
    for _ in range(n):
        for sql in HOSTILE:
            start = time.perf_counter()
            try:
                with urlopen(f"{url}/v1/sql?sql={quote(sql)}", timeout=30) as answer:
                    answer.read()
                continue
            except HTTPError as refused:
                detail = refused.read().decode()
            if "ended after" in detail:
                past.append(1e3 * (time.perf_counter() - start - limit))
    # Starting the process that reads is not over the limit: a statement that ends at once measures it.
    own = []
    for _ in range(10):
        start = time.perf_counter()
        urlopen(f"{url}/v1/sql?sql={quote('SELECT 1')}", timeout=30).read()
        own.append(1e3 * (time.perf_counter() - start))
    start_up = statistics.median(own)
    over = [p - start_up for p in past]
    print(
        f"SQL page: {len(past)} statements ended; past the limit median {statistics.median(past):.0f} ms, worst "
        f"{max(past):.0f} ms, of which a statement that ends at once takes {start_up:.0f} ms; over it worst "
        f"{max(over):.0f} ms (<= 50)  {'met' if max(over) <= 50 else 'MISSED'}"
    )


def main(n: int = 10_000) -> None:
    """Fill a database, serve it, load it, print."""
    folder = Path(tempfile.mkdtemp())
    try:
        db = filled(folder, n)
        served = serve(db, "--rate", "0", "--log", "none", log=folder / "log")
        driver = browser(folder)
        try:
            urlopen(f"{served.url}/v1/candidates?task=asr", timeout=60).read()
            paints(driver, served.url, "/?flops=30G", "#sentence")
            paints(driver, served.url, "/runs", "tbody tr")
            left = elsewhere(driver, served.url)
            print(f"requests to another host: {left or 0}")
            overshoot(served.url)
        finally:
            driver.quit()
            served.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:2]))
