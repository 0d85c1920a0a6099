"""The fresh process of a stage: `python -m runner.probing.stage_child JOB.json`.

It loads every contestant, says so in one line, then times a request for each line that it is told and
answers in one line, until its input ends. So the parent decides on every turn, and a parent that died
takes its child along.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from planner.errors import SoundscaleError
from planner.words.catalogue import Catalogue, from_stored
from planner.words.records import to_json
from runner.data.clips import Clip, DataSpec
from runner.data.packing import load_clip
from runner.probing.contestants import Contestant, Place, Prepared, prepare
from runner.trial.examples import corpus_of
from runner.trial.requests import Requests, scored_requests
from runner.trial.timing import Timer, place_of

N_WARMUP = 1
"""Windows of each contestant that do not count."""

CLIPS_HELD = 256
"""Clips whose samples are kept while the contestants are loaded: all that any of them is sized by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A contestant with its requests."""

    contestant: Contestant
    prepared: Prepared
    requests: Requests
    timer: Timer

    def facts(self) -> dict[str, Any]:
        """What the parent needs to know of it."""
        return {
            "contestant": self.contestant.key,
            "device": to_json(self.prepared.device),
            "engine_version": self.prepared.engine_version,
            "attention": self.prepared.attention,
            "stages": list(self.prepared.ready.stages),
            "n_windows": self.requests.n_windows,
            "n_timed": len(self.requests.timed),
            "n_warmup": N_WARMUP,
        }

    def turn(self, round_: int) -> dict[str, Any]:
        """Time the request of a round."""
        request = self.requests.timed[place_of(round_, len(self.requests.timed))]
        taken = self.timer.time(request, round_)
        return {
            "n_output_tokens": list(taken.n_output_tokens),
            "stages_ms": [[round(ms, 4) for ms in row] for row in taken.stages_ms.tolist()],
            "wall_seconds": taken.wall_seconds,
            "processor_seconds": taken.processor_seconds,
        }


def load_all(job: dict[str, Any]) -> Iterator[Loaded | dict[str, Any]]:
    """Each contestant of a job, or why it cannot be timed here."""
    from runner.trial.device import torch_device, use_threads

    contestants = [Contestant.from_json(one) for one in job["contestants"]]
    data = DataSpec(**job["data"] | {"labels": tuple(job["data"]["labels"])})
    use_threads(contestants[0].resources)
    place = Place(
        catalogue=Catalogue(tuple(map(from_stored, job["backbones"].values()))),
        device=torch_device(contestants[0].resources),
    )
    load = lru_cache(maxsize=CLIPS_HELD)(load_clip)
    for one in contestants:
        try:
            yield _loaded(one, data, place, load, job["most_timed"])
        except (SoundscaleError, ImportError, OSError) as problem:
            yield {"contestant": one.key, "problem": str(problem)}


def _loaded(
    one: Contestant,
    data: DataSpec,
    place: Place,
    load: Callable[[Clip], Any],
    most_timed: int,
) -> Loaded:
    corpus = corpus_of(one.trial, data)
    requests = scored_requests(
        corpus.test, one.scored(), one.trial, most_timed=most_timed, load=load
    )
    prepared = prepare(one, place)
    timer = Timer(ready=prepared.ready, requests=requests.timed)
    timer.warm_up(N_WARMUP)
    return Loaded(contestant=one, prepared=prepared, requests=requests, timer=timer)


def serve(job: dict[str, Any], told: TextIO, answers: TextIO) -> None:
    """Load, then answer every line that is told."""
    loaded: dict[str, Loaded] = {}
    facts = []
    for one in load_all(job):
        if isinstance(one, Loaded):
            loaded[one.contestant.key] = one
            facts.append(one.facts())
        else:
            facts.append(one)
    _answer(answers, facts)
    for line in told:
        asked = json.loads(line)
        _answer(answers, loaded[asked["contestant"]].turn(asked["round"]))


def _answer(answers: TextIO, value: Any) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def main(arguments: list[str]) -> None:
    """Serve a job; what libraries print goes to the error stream, so that answers stay alone."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = json.loads(Path(arguments[0]).read_text("utf-8"))
    try:
        serve(job, sys.stdin, answers)
    except BrokenPipeError:
        # The parent is gone, and nobody is left to answer.
        os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
