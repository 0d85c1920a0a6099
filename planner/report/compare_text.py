"""A comparison of runs as text: a table, what it says in words, and the utterances that decide."""

from __future__ import annotations

from typing import Any

from planner.report.tables import plain_table
from planner.service.compare_words import p_text

METRICS = {"wer": "WER", "unweighted_error": "error"}
N_SHOWN = 5
"""Utterances shown of each comparison; JSON has more."""


def compare_text(found: dict[str, Any]) -> str:
    """All of it."""
    parts = [_heading(found), plain_table(*_table(found)), _verdicts(found)]
    parts += [_tests(found, c) for c in found["comparisons"]]
    if found["comparisons"][0].get("classes"):
        parts += [_classes(c) for c in found["comparisons"]]
    parts += [_deciding(found, c) for c in found["comparisons"] if c["deciding"]]
    return "\n\n".join(parts)


def _heading(found: dict[str, Any]) -> str:
    words = f", {found['n_units']} words" if found["metric"] == "wer" else ""
    lines = [
        f"{found['n_utterances']} utterances of {found['dataset']} ({found['split']}{words}); "
        f"intervals and p are about {found['scope']}"
    ]
    if found["n_broken"]:
        lines.append(f"{found['n_broken']} utterances that some run could not read are left out")
    if found["normaliser"]:
        lines.append(f"texts normalised by {found['normaliser']}; errors are the fewest edits")
    return "\n".join(lines)


def _table(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    level = f"{100 * found['level']:g} %"
    wer = found["metric"] == "wer"
    first = found["runs"][0]["run_id"]
    counts = ["sub", "ins", "del"] if wer else ["wrong"]
    headings = ["run", METRICS.get(found["metric"], "error"), *counts, f"to run {first}, points [{level}]", "p",
                "p Holm", "configuration"]  # fmt: skip
    by_run = {c["run_id"]: c for c in found["comparisons"]}
    rows = []
    for run in found["runs"]:
        c = by_run.get(run["run_id"])
        keys = ("n_substitutions", "n_insertions", "n_deletions") if wer else ("n_errors",)
        rows.append([
            str(run["run_id"]), f"{100 * run['error']:.2f} %",
            *("–" if run[k] is None else str(run[k]) for k in keys),
            "–" if c is None else _difference(c),
            "–" if c is None else p_text(c["p"]), "–" if c is None else p_text(c["p_holm"]),
            run["label"],
        ])  # fmt: skip
    return headings, rows


def _difference(c: dict[str, Any]) -> str:
    if c["low"] is None:
        return f"{100 * c['difference']:+.2f}"
    return f"{100 * c['difference']:+.2f} [{100 * c['low']:+.2f}, {100 * c['high']:+.2f}]"


def _verdicts(found: dict[str, Any]) -> str:
    return "\n".join(c["verdict"] for c in found["comparisons"])


def _tests(found: dict[str, Any], c: dict[str, Any]) -> str:
    """The tests side by side."""
    t = c["tests"]
    rows = [[c["test"], p_text(c["p"]), f"{c['n_differing']} utterances differ"]]
    if "mapsswe" in t:
        m = t["mapsswe"]
        whole = found["n_utterances"] - m["n_utterances_cut"]
        z = "no spread" if m["z"] is None else f"z {m['z']:.3f}"
        said = f"{m['n_segments']} segments, mean {m['mean']:.3f}, sd {m['std']:.3f}, {z}"
        said += f"; {whole} utterances whole" if whole else ""
        rows.append(["MAPSSWE (NIST)", p_text(m["p"]), said])
    b, s, q = t["bootstrap"], t["sign"], t["mcnemar"]
    improved = f"improves in {100 * b['p_improvement']:.1f} % of {b['n_draws']} draws"
    signs = f"{s['n_less']} utterances with fewer, {s['n_more']} with more"
    alone = f"{q['n_only_first']} wrong in run {c['against_run_id']} alone, {q['n_only_second']} in run {c['run_id']}"
    rows += [
        [f"bootstrap by {b['of']}", p_text(b["p"]), improved],
        ["sign test", p_text(s["p"]), signs],
        [f"Wilcoxon by {t['wilcoxon']['of']}", p_text(t["wilcoxon"]["p"]), ""],
        ["McNemar", p_text(q["p"]), alone],
    ]
    heading = f"run {c['run_id']} against run {c['against_run_id']}"
    return plain_table([heading, "p", "from"], rows)


def _classes(c: dict[str, Any]) -> str:
    def shown(recall: float, interval: list[float]) -> str:
        return f"{100 * recall:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"

    rows = [
        [k["label"], str(k["n"]), shown(k["recall_first"], k["recall_first_interval"]),
         shown(k["recall"], k["recall_interval"]), p_text(k["p"])]
        for k in c["classes"]
    ]  # fmt: skip
    names = [f"recall of run {c[key]}" for key in ("against_run_id", "run_id")]
    return plain_table(["class", "utterances", *names, "p"], rows)


def _deciding(found: dict[str, Any], c: dict[str, Any]) -> str:
    lines = [
        f"what decides between run {c['against_run_id']} and run {c['run_id']} "
        "(words left out in [-…-], put in as {+…+}, said then heard as [-…-]{+…+})"
    ]
    for u in c["deciding"][:N_SHOWN]:
        who = f", {u['speaker']}" if u["speaker"] else ""
        lines.append(
            f"  {u['utterance_id']}{who}: {100 * u['contribution']:+.2f} points, "
            f"{u['n_errors_first']} against {u['n_errors']} errors"
        )
        for key, words, run_id in (
            ("hypothesis_first", "words_first", c["against_run_id"]),
            ("hypothesis", "words", c["run_id"]),
        ):
            text = u[key] if u[words] is None else marked(u[words])
            lines.append(f"    run {run_id:<4} {text}")
        if u["words"] is None:
            lines.append(f"    said     {u['reference']}")
    return "\n".join(lines if found["metric"] == "wer" else [lines[0].split(" (")[0], *lines[1:]])


def marked(words: list[list[str]], context: int = 3) -> str:
    """An alignment in one line; of words that agree, those near a difference.

    >>> marked([["=", "press", "press"], ["s", "one", "won"], ["d", "now", ""]])
    'press [-one-]{+won+} [-now-]'
    """
    wrong = [i for i, (kind, _, _) in enumerate(words) if kind != "="]
    if not wrong:
        return "(no error)"
    out: list[str] = []
    for i, (kind, said, heard) in enumerate(words):
        if min(abs(i - w) for w in wrong) > context:
            out += [] if out[-1:] == ["…"] else ["…"]
        elif kind == "=":
            out.append(said)
        else:
            out.append((f"[-{said}-]" if said else "") + ("{+" + heard + "+}" if heard else ""))
    return " ".join(out)
