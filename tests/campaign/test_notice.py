"""A process that is asked to end hears it, whatever it is doing at that moment."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from runner.campaign import notice
from runner.campaign.notice import Notice
from tests.campaign.terminations import Terminations


@pytest.fixture
def passed_on() -> Iterator[list[int]]:
    """What the handler of SIGTERM that was there before is told."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """As at a terminal: what a shell starts in the background, as a test run may be, is deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ask_this_process(number: int) -> None:
    os.kill(os.getpid(), number)


def test_sigterm_is_remembered_and_passed_on_once_the_work_is_left(passed_on):
    with Notice() as heard:
        assert not heard.asked
        ask_this_process(signal.SIGTERM)
        assert (heard.asked, heard.terminated, passed_on) == (True, True, [])
    assert passed_on == [signal.SIGTERM]


def test_a_cancelled_task_is_asked_to_end_and_its_process_goes_on(passed_on):
    with Notice() as heard:
        ask_this_process(signal.SIGINT)
        assert (heard.asked, heard.terminated) == (True, False)
    assert passed_on == []


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
@pytest.mark.usefixtures("hears_ctrl_c")
def test_a_driver_that_is_asked_twice_at_once_is_interrupted_once(first, second, monkeypatch):
    before = [signal.getsignal(number) for number in notice.ASKING]
    with notice.sigterm_interrupts() as asked:
        with pytest.raises(KeyboardInterrupt):
            ask_this_process(signal.Signals[first])
        ask_this_process(signal.Signals[second])
        assert asked.is_set()
        monkeypatch.setattr(notice, "AGAIN_SECONDS", 0.0)
        with pytest.raises(KeyboardInterrupt):
            ask_this_process(signal.Signals[second])
    assert [signal.getsignal(number) for number in notice.ASKING] == before


def test_a_driver_in_the_background_stays_deaf_to_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with notice.sigterm_interrupts() as asked:
            ask_this_process(signal.SIGINT)
            assert not asked.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


class Collected:
    """Sends this process a signal from a garbage collection, where exceptions are lost."""

    def __init__(self, number: int) -> None:
        self.number, self.itself = number, self

    def __del__(self) -> None:
        ask_this_process(self.number)
        for _ in range(100):
            pass  # the handler runs within this finaliser


LOST = """
import gc, os, signal, sys
sys.unraisablehook = lambda problem: print("lost", problem.exc_type.__name__)
def handler(*_): raise SystemExit(1)
signal.signal(signal.SIGTERM, handler)
class Collected:
    def __init__(self): self.itself = self
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(100): pass
Collected(); gc.collect(); print("went on")
"""


def test_an_exception_from_a_handler_is_lost_in_a_garbage_collection_and_a_notice_is_not(passed_on):
    said = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == ["lost SystemExit", "went on"]
    with Notice() as heard:
        Collected(signal.SIGTERM)
        gc.collect()
        assert heard.asked


def test_a_notice_is_overdue_when_its_grace_is_over(passed_on, monkeypatch):
    with Notice() as heard:
        assert not heard.overdue
        ask_this_process(signal.SIGTERM)
        assert not heard.overdue
        monkeypatch.setattr(notice, "GRACE_SECONDS", -1.0)
        assert heard.overdue


@pytest.mark.slow
def test_a_worker_that_gets_sigterm_keeps_its_step_and_gives_the_trial_back_uncharged(
    write_spec, tmp_path
):
    spec = write_spec(
        ("steps = 2", "steps = 60"), ('["none", "stem:2"]', '"none"'), ("[2, 3]", "3")
    )
    terminated = Terminations(spec, tmp_path / "work", random.Random(5))
    assert terminated.run(6, longest_wait=0.8), terminated.broken
    assert terminated.seconds
