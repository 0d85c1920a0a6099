"""Schemathesis over the whole schema of a real server: no answer of 5xx, no row changed.

Run: python tests/benchmarks/fuzz.py [EXAMPLES_OF_EACH_OPERATION] [SEED] [SILENT_CONNECTIONS_HELD]

Plans and fits that are asked for by POST are meant to be stored, so their tables are not compared.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store import engine  # noqa: E402
from planner.store.schema import metadata  # noqa: E402
from tests.benchmarks.held import Besieged, peak_bytes  # noqa: E402
from tests.http.conftest import serve  # noqa: E402

STORED = ROOT / "tests" / "fixtures" / "quickstart.db"
WRITTEN_BY_POST = {"plans", "jobs", "law_fits", "law_fit_runs"}


def rows(db: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table that no question may change."""
    names = sorted(set(metadata.tables) - WRITTEN_BY_POST)
    connection = sqlite3.connect(db)
    found = {n: connection.execute(f"SELECT * FROM {n} ORDER BY 1, 2").fetchall() for n in names}
    connection.close()
    return found


def statuses(url: str) -> dict[str, int]:
    """Requests by status, as the service's own metrics counted them."""
    with urlopen(url + "/metrics", timeout=30) as answer:
        text = answer.read().decode()
    out: dict[str, int] = {}
    for line in text.splitlines():
        if "requests_total{" in line:
            status = line.split('status="')[1].split('"')[0]
            out[status] = out.get(status, 0) + int(float(line.rsplit(" ", 1)[1]))
    return dict(sorted(out.items()))


def errors(said: str) -> str:
    """What schemathesis could not do, each line of it shortened: a URL may have 100 KB."""
    part = said.partition(" ERRORS ==")[2].partition("Need more help?")[0]
    return "\n".join(line[:160] for line in part.splitlines() if line.strip())


def main(examples: int = 400, seed: int = 1, n_held: int = 0) -> None:
    """Start a server, fuzz it, print what it answered."""
    with tempfile.TemporaryDirectory() as folder:
        db = shutil.copy(STORED, folder)
        engine.upgrade(db)
        before = rows(db)
        served = serve(db, "--rate", "0", "--log", "json", log=Path(folder) / "log")
        try:
            command = [
                str(Path(sys.executable).with_name("schemathesis")), "run", served.url + "/openapi.json",
                "--checks", "not_a_server_error", "--phases", "fuzzing", "--continue-on-failure",
                "--max-examples", str(examples), "--request-timeout", "30", "--seed", str(seed),
            ]  # fmt: skip
            with Besieged(served.port, n_held) as besieged:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, cwd=folder
                )
            print(errors(done.stdout), done.stdout[-1200:], done.stderr[-500:])
            found = statuses(served.url)
            told = besieged.livez_seconds
            print(
                f"{besieged.n_held_most} held at once, {besieged.n_opened} opened; /livez {len(told)} times, "
                f"longest {max(told):.3f} s, failures {besieged.failures[:3] or 0}; "
                f"most memory {peak_bytes(served.process.pid) / 2**20:.0f} MiB"
            )
        finally:
            served.stop()
        bad = {s: n for s, n in found.items() if s.startswith("5") and s != "503"}
        print(json.dumps(found), "in all", sum(found.values()))
        same = rows(db) == before
        print(
            f"answers of 5xx: {bad or 0} (503: {found.get('503', 0)}); rows changed: {0 if same else 'SOME'}"
        )
        print("met" if not bad and not found.get("503") and same else "MISSED")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:4]))
