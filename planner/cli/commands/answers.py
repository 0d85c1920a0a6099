"""`soundscale answers`: what was answered, and whether it can be answered again."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)


@click.group()
def answers() -> None:
    """Stored answers: list, show and replay them."""


@answers.command("list")
@db_option
@format_option()
def answers_list(db: str | None, output_format: str) -> None:
    """List the answers that were given.

    \b
    Example:
      soundscale answers list
    """
    from planner.service import lists

    rows = lists.answers(db)
    if output_format == "table":
        rows = [_for_people(row) for row in rows]
    columns = _COLUMNS if any(r["rests_on_removed_runs"] for r in rows) else _COLUMNS[:-1]
    echo_rows(rows, output_format, columns, empty="no answer is stored", drop=("given", "fit"))


_COLUMNS = [
    ("answer_id", "answer"),
    ("task", "task"),
    ("limits", "limits"),
    ("best", "best"),
    ("error", "error"),
    ("fit_id", "fit"),
    ("created_utc", "given"),
    ("rests_on_removed_runs", "removed runs"),
]


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """A stored answer with its limits and its error in the units that `plan` shows."""
    import json

    from planner.plan.wording import said
    from planner.report.answer_text import percent

    limits = " · ".join(said(k, v) for k, v in json.loads(row["limits"]).items())
    return {**row, "limits": limits or "none", "error": percent(row["error"])}


@answers.command("show")
@click.argument("answer_id")
@db_option
@format_option(ANSWER_FORMATS)
def answers_show(answer_id: str, db: str | None, output_format: str) -> None:
    """Show an answer as it was given.

    \b
    Example:
      soundscale answers show 7f3a9100ab12
    """
    from planner.report import answer_text
    from planner.service import lists

    stored = lists.answer(db, answer_id)
    if output_format != "table":
        echo_json(stored)
        return
    echo(answer_text.plan_text(stored))


@answers.command("replay")
@click.argument("answer_id")
@db_option
@format_option(ANSWER_FORMATS)
def answers_replay(answer_id: str, db: str | None, output_format: str) -> None:
    """Make an answer again from its stored fit and say whether it is the same (to 1e-9).

    \b
    Example:
      soundscale answers replay 7f3a9100ab12
    """
    from planner.service.replay import replay, rule_of

    same, now = replay(db, answer_id)
    rule = rule_of(db, now["fit_id"])
    if output_format != "table":
        echo_json({"answer_id": answer_id, "identical": same, "rule": rule, "answer": now})
    else:
        said = "identical" if same else "differs from what was stored"
        talk(f"answer {answer_id}: {said}; its law took the noise of its runs by the rule {rule}")
    if not same:
        raise SystemExit(1)
