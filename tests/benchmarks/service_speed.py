"""`/v1/plan` over 100,000 candidates, warm, against a route of the same application that does nothing.

Run: python tests/benchmarks/service_speed.py [N_CANDIDATES] [SECONDS]

The server runs in a process of its own on the stored quickstart's database, its table of candidates
replaced by one of that many. Loads alternate (no-op, plan, plan, no-op) on kept connections, 1 and 8 of
them; `other limits` asks for a new limit each time, so that the choice is made again and not remembered.
At the end 16 connections ask for new limits, and the server's memory is told before, at its most and after.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.http.settings import Settings  # noqa: E402
from tests.benchmarks.held import peak_bytes, resident_bytes  # noqa: E402

STORED = ROOT / "tests" / "fixtures" / "quickstart.db"
QUESTION = "/v1/plan?task=asr&flops=20e9&latency_ms=2000"
FACTORS = ("none", "stem:2", "stem:4")


def serve(db: str, n: int) -> None:
    """Run the service with a table of n candidates, after saying its port."""
    from planner.http import server
    from planner.plan import candidates
    from planner.plan.configurations import Config
    from planner.words.records import Reduction

    def many(evidence: Any, query: Any, ran: Any) -> list[Config]:
        names = sorted({r.trial.backbone for r in evidence.rows})
        n_lengths = -(-n // (len(names) * len(FACTORS)))
        lengths = [4.0 + 8.0 * i / n_lengths for i in range(n_lengths)]
        reductions = [Reduction.parse(factor) for factor in FACTORS]
        settings = itertools.product(names, reductions, lengths)
        one: Config = ran[0]
        return [
            dataclasses.replace(one, backbone=b, reduction=r, audio_seconds=s)
            for b, r, s in itertools.islice(settings, n)
        ]

    candidates.configs_of = many
    settings = Settings(db=db, port=0, requests_per_second=0.0, log_format="none")
    running = server.server(settings)
    socket = server.listen(settings)
    print(socket.getsockname()[1], flush=True)
    running.run(sockets=[socket])


async def _client(port: int, paths: Iterator[str], until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(f"GET {next(paths)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        times.append(time.perf_counter() - start)
    writer.close()
    await writer.wait_closed()


def load(port: int, paths: Iterator[str], n: int, seconds: float) -> tuple[float, list[float]]:
    """Requests a second of n connections, and how long each took."""
    times: list[float] = []

    async def run() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_client(port, paths, until, times) for _ in range(n)))

    asyncio.run(run())
    return len(times) / seconds, times


def p99(times: list[float]) -> float:
    """The 99th percentile, in ms."""
    return 1e3 * statistics.quantiles(times, n=100)[98]


def other_limits(first: int = 0) -> Iterator[str]:
    """The question with a limit that nobody has asked for."""
    for i in itertools.count(first):
        yield f"/v1/plan?task=asr&flops={15e9 + 1e4 * i:.0f}&latency_ms=2000"


def compare(port: int, what: str, paths: Iterator[str], n: int, seconds: float) -> None:
    """Four loads in the order A B B A, and one line on them."""
    noop = itertools.repeat("/livez")
    runs = [load(port, p, n, seconds) for p in (noop, paths, paths, noop)]
    rate = [r for r, _ in runs]
    tail = [p99(t) for _, t in runs]
    throughput = (rate[1] + rate[2]) / (rate[0] + rate[3])
    slower = (tail[1] + tail[2]) / (tail[0] + tail[3])
    met = "met" if throughput >= 0.5 and slower <= 2 else "MISSED"
    print(
        f"{what:13s} {n} connections: {rate[1]:6.0f} {rate[2]:6.0f} /s of {rate[0]:6.0f} {rate[3]:6.0f} /s"
        f"  throughput {throughput:.2f} (>= 0.5)  p99 {tail[1]:.1f} {tail[2]:.1f} ms of {tail[0]:.1f} "
        f"{tail[3]:.1f} ms, {slower:.2f}x (<= 2)  noise {rate[3] / rate[0]:.2f}  {met}",
        flush=True,
    )


def main(n: int = 100_000, seconds: float = 4.0) -> None:
    """Start the server, load it, print the table."""
    from planner.store import engine

    with tempfile.TemporaryDirectory() as folder:
        db = shutil.copy(STORED, folder)
        engine.upgrade(db)
        command = [sys.executable, __file__, "--serve", db, str(n)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            try:
                loads(port, seconds)
                memory(process.pid, port, 2 * seconds)
            finally:
                process.terminate()


def loads(port: int, seconds: float) -> None:
    """The first answer, then each comparison."""
    start = time.perf_counter()
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}{QUESTION}", timeout=60) as answer:
                found = json.load(answer)
            break
        except HTTPError as later:
            # 503 with Retry-After: the table is still worked on.
            if later.code != 503 or time.perf_counter() - start > 120:
                raise
            time.sleep(0.2)
    print(
        f"{found['n_candidates']} candidates, first answer after {time.perf_counter() - start:.1f} s, "
        f"{len(json.dumps(found))} characters", flush=True,
    )  # fmt: skip
    for connections in (1, 8):
        compare(port, "same question", itertools.repeat(QUESTION), connections, seconds)
    for connections in (1, 8):
        compare(port, "other limits", other_limits(), connections, seconds)


def memory(pid: int, port: int, seconds: float) -> None:
    """New limits on 16 connections, and the process's resident memory before, at its most and after."""
    before = resident_bytes(pid)
    rate, _ = load(port, other_limits(10_000_000), 16, seconds)
    after = resident_bytes(pid)
    print(
        f"other limits 16 connections: {rate * seconds:.0f} answers; resident {before / 2**20:.0f} MiB before, "
        f"{after / 2**20:.0f} after, {peak_bytes(pid) / 2**20:.0f} at most; "
        f"{Settings().kept_bytes / 2**20:.0f} MiB may be kept", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main(*(int(a) for a in sys.argv[1:3]))
