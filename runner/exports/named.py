"""What a command names: a finished run, or an answer's recommendation with its engine and precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.store import read
from planner.store.row_types import RunRow
from planner.words.engine_records import OWN_ENGINE
from runner.engines.formats import FORMATS, Format, format_of, precision_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A finished run that was trained here.

    Attributes:
        answer_id: of the answer that recommends it, where one was named.
        engine, precision: that the answer recommends, other than our own; None where it names none.
    """

    row: RunRow
    answer_id: str | None = None
    engine: str | None = None
    precision: str | None = None

    def format(self, to: str | None, precision: str | None) -> tuple[Format, str]:
        """Format and precision of an export: what is asked for, else the answer's, else the format's first.

        Raises:
            InputError: neither the question nor the answer says to what.
            UnknownNameError: there is no such format, or it has no such precision.
        """
        own = [form for form in FORMATS.values() if form.engine == self.engine]
        if to is None and not own:
            asked = (
                f"answer {self.answer_id} names no engine"
                if self.answer_id
                else "a run names no engine"
            )
            raise InputError(f"{asked}; say --to {', '.join(FORMATS)}")
        form = own[0] if to is None else format_of(to)
        if precision is None and form in own:
            return form, precision_of(form, self.precision)
        return form, precision_of(form, precision)


def named(engine: Any, which: str) -> Named:
    """The run that is named by its key, or by the id of an answer that recommends it.

    Raises:
        InputError: the run is not finished, or nobody trained what the answer recommends.
        UnknownNameError: there is no such answer.
    """
    if which.isdigit() and len(which) < 12:
        return Named(row=_finished(engine, int(which)))
    answer_id = read.plan(engine, which).answer_id
    answer = _answered(engine, answer_id)
    config = answer["best"]["config"]
    ours = config.get("engine") in (None, OWN_ENGINE)
    return Named(
        row=_recommended(engine, answer),
        answer_id=answer_id,
        engine=None if ours else config["engine"],
        precision=None if ours else config["precision"],
    )


def _finished(engine: Any, run_id: int) -> RunRow:
    row = read.run(engine, run_id)
    if row.status != "finished":
        raise InputError(
            f"run {run_id} is {row.status} and has no model to export; see: soundscale runs list"
        )
    if row.provenance != "measured":
        raise InputError(
            f"run {run_id} is {row.provenance}: its tensors are not here; "
            "name a run that was trained here"
        )
    return row


def _answered(engine: Any, answer_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(read.plan(engine, answer_id).answer_json)
    if answer.get("best") is None:
        raise InputError(f"answer {answer_id} recommends nothing; ask again with wider limits")
    return answer | {"answer_id": answer_id}


def _recommended(engine: Any, answer: dict[str, Any]) -> RunRow:
    """The run of what is recommended: scored in its engine, or trained and never scored there."""
    best = answer["best"]
    if best["prediction"]["run_ids"]:
        return _finished(engine, int(best["prediction"]["run_ids"][0]))
    for run_id in answer.get("evidence", ()):
        row = read.run(engine, int(run_id))
        if row.provenance == "measured" and _is_of(row, best["config"]):
            return _finished(engine, row.run_id)
    raise InputError(
        f"answer {answer['answer_id']} recommends {best['label']}, which nobody has trained; train it with "
        "soundscale sweep run, or ask with --measured-only"
    )


def _is_of(row: RunRow, config: dict[str, Any]) -> bool:
    trial = row.trial
    said = {
        "backbone": trial.backbone, "audio_seconds": trial.audio_seconds, "padding": trial.padding,
        "reduction": str(trial.reduction), "adaptation": str(trial.adaptation),
    }  # fmt: skip
    hours = config.get("train_hours") == trial.train_hours
    return hours and all(config[name] == value for name, value in said.items())
