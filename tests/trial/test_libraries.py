from __future__ import annotations

import threading

from runner.trial import libraries


def test_two_threads_never_import_at_the_same_time(monkeypatch):
    inside, most, n_loads = [0], [0], [0]
    both = threading.Barrier(2)

    def importing() -> None:
        inside[0] += 1
        n_loads[0] += 1
        most[0] = max(most[0], inside[0])
        inside[0] -= 1

    def ask() -> None:
        both.wait(10)
        libraries.load()

    monkeypatch.setattr(libraries, "_loaded", [])
    monkeypatch.setattr(libraries, "_import_all", importing)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most[0], n_loads[0]) == (1, 1)
