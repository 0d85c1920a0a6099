"""Whatever stands in a manifest: never a traceback, and no text, path or time that another reader sees otherwise."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import SoundscaleError
from runner.data.clips import DataSpec
from runner.data.corpus import list_clips, measured

SECONDS = 2.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("manifests")
    for i in range(4):
        soundfile.write(root / f"u{i}.wav", np.zeros(32_000, np.float32) + 0.01 * i, 16_000)
    return root


PATHS = st.sampled_from([f"u{i}.wav" for i in range(4)])
TEXTS = st.sampled_from(
    [
        "hello",
        "hello, world",
        '"quoted"',
        "naïve",
        "fu\u0308r",
        " padded ",
        "one\u2028two",
        "1,5",
        "=1+1",
    ]
)
TIMES = st.sampled_from([0, 0.25, 0.5, 0.125])
COLUMNS = {
    "path": PATHS, "audio_filepath": PATHS, "file_name": PATHS, " filename": PATHS, "text": TEXTS, "sentence": TEXTS,
    "transcription": TEXTS, "speaker": TEXTS, "client_id": TEXTS, "offset": TIMES, "duration": TIMES,
    "split": st.just("train"), "utterance_id": st.integers(0, 10**6).map(lambda n: f"id{n}"),
}  # fmt: skip
"""Cells that are as they should be."""
ODD_TEXTS = st.one_of(
    st.sampled_from(["nan", "NULL", "", "two\nlines", "tab\there", 'say "a"', '"', "-", "0"]), st.text(max_size=8)
)  # fmt: skip
ODD_TIMES = st.one_of(
    st.floats(0, 3, allow_nan=False),
    st.sampled_from([1, -1, 1e9, math.nan, math.inf, None, "", "0.5", "1,5", "0.5 s", True, [1]]),
)  # fmt: skip
ODD_PATHS = st.sampled_from(["./u2.wav", "no.wav", "", "u0.wav |", "u1", "/u1.wav", "."])
ODD = dict.fromkeys(COLUMNS, ODD_TEXTS) | dict.fromkeys(("offset", "duration"), ODD_TIMES)
ODD |= dict.fromkeys(("path", "audio_filepath", "file_name", " filename"), ODD_PATHS)
ODD["split"] = st.sampled_from(["test", "dev", "", "Train"])
PATH_NAMES, TEXT_NAMES = ("path", "audio_filepath", "file_name", "filename"), (
    "text", "sentence", "transcription",
)  # fmt: skip


def spec_of(folder, name, text):
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return DataSpec(name="manifest", path=str(folder / name))


def listed(spec):
    """The clips, or None where the manifest is refused in one line; any other exception is a traceback."""
    try:
        return list_clips(spec).clips
    except SoundscaleError as problem:
        one_line(problem)
        return None


def one_line(problem):
    assert "\n" not in str(problem)


def seconds_of(value):
    """A time as another reader takes it; None where it is not there."""
    if value is None or value == "" or math.isnan(float(value)):
        return None
    return float(value)


def same_as(folder, clip, row):
    """One clip against its row by another reader."""
    row = {str(k).strip(): v for k, v in row.items()}
    path = next(row[n] for n in PATH_NAMES if n in row)
    text = next(row[n] for n in TEXT_NAMES if n in row)
    assert clip.path.resolve() == (folder / path.strip()).resolve()
    assert clip.reference == text.strip()
    offset, duration = seconds_of(row.get("offset")), seconds_of(row.get("duration"))
    cut = duration is not None and (offset is not None or "audio_filepath" in row)
    assert clip.length_seconds == (duration if cut else None)
    assert clip.start_seconds == ((offset or 0.0) if cut else 0.0)
    part = measured(clip)
    if cut and part.fault is None:
        assert part.audio_seconds <= SECONDS - clip.start_seconds + 1e-9


@st.composite
def rows_of(draw, paths):
    """Rows with a path and a text, in which up to two cells are not as they should be."""
    header = [draw(st.sampled_from(paths)), draw(st.sampled_from(TEXT_NAMES))]
    # Of a file there may be several clips: an id tells them apart.
    header += [
        "utterance_id",
        *draw(st.lists(st.sampled_from(["speaker", "client_id", "split"]), unique=True)),
    ]
    header += ["offset", "duration"] if draw(st.booleans()) else []
    rows = [{c: draw(COLUMNS[c]) for c in header} for _ in range(draw(st.integers(1, 3)))]
    for _ in range(draw(st.integers(0, 2))):
        row, column = draw(st.sampled_from(rows)), draw(st.sampled_from(header))
        row[column] = draw(ODD[column])
    return rows


@st.composite
def delimited(draw, tabs):
    """A CSV, or a TSV that quotes nothing, as the field's tools and hands write them."""
    rows = draw(rows_of(["path", "audio_filepath", "file_name", " filename"]))
    lines = [
        list(rows[0]),
        *([str(v if v is not None else "") for v in row.values()] for row in rows),
    ]
    if draw(st.booleans()) and not tabs:
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(lines)
        return out.getvalue()
    return "\n".join(("\t" if tabs else ",").join(line) for line in lines)


def csv_agrees(folder, text, tabs):
    name = "m.tsv" if tabs else "m.csv"
    clips = listed(spec_of(folder, name, text))
    if clips is None:
        return
    quoting = {"quoting": csv.QUOTE_NONE} if tabs else {}
    frame = pd.read_csv(
        io.StringIO(text, newline=""), sep="\t" if tabs else ",", dtype=str, keep_default_na=False, index_col=False,
        **quoting,
    )  # fmt: skip
    rows = [row for row in frame.to_dict("records") if any(v.strip() for v in row.values())]
    assert len(rows) == len(clips)
    for clip, row in zip(clips, rows, strict=True):
        same_as(folder, clip, row)


OBJECTS = rows_of(["path", "audio_filepath", "file_name"])


def json_agrees(folder, rows):
    text = "\n".join(json.dumps(row) for row in rows)
    clips = listed(spec_of(folder, "m.jsonl", text))
    if clips is None:
        return
    for clip, line in zip(clips, text.split("\n"), strict=True):
        same_as(folder, clip, json.loads(line))


@st.composite
def cuts_of(draw):
    """Cuts of lhotse in which up to two things are not as they should be."""
    cuts = []
    for i in range(draw(st.integers(1, 2))):
        said = {"start": draw(TIMES), "duration": draw(TIMES.filter(bool)), "text": draw(TEXTS)}
        source = {"type": "file", "source": draw(PATHS)}
        cuts.append({
            "id": f"c{i}", "start": draw(TIMES), "duration": 1.0, "channel": 0, "type": "MonoCut",
            "supervisions": [said], "recording": {"sources": [source]},
        })  # fmt: skip
    for _ in range(draw(st.integers(0, 2))):
        cut = draw(st.sampled_from(cuts))
        said, source = cut["supervisions"][-1:], cut["recording"]["sources"][0]
        places = [(cut, "start", ODD_TIMES), (cut, "duration", ODD_TIMES), (source, "source", ODD_PATHS),
                  (source, "type", st.sampled_from(["command", "url"])), (cut, "channel", st.sampled_from([1, [0]])),
                  (cut, "type", st.sampled_from(["MixedCut", "DataCut"])), (cut, "id", ODD_TEXTS),
                  (cut, "supervisions", st.sampled_from([[], None])),
                  (cut["recording"], "transforms", st.sampled_from([None, [], [{"name": "Speed"}]]))]  # fmt: skip
        for one in said or ():
            places += [
                (one, "start", ODD_TIMES),
                (one, "duration", ODD_TIMES),
                (one, "text", ODD_TEXTS),
            ]
        holder, key, values = draw(st.sampled_from(places))
        if isinstance(holder, dict):
            holder[key] = draw(values)
        if cut["supervisions"] is None:
            return cuts
    return cuts


def cuts_agree(folder, cuts):
    clips = listed(spec_of(folder, "m.jsonl", "\n".join(map(json.dumps, cuts))))
    if clips is None:
        return
    assert len(clips) == len(cuts)
    for clip, cut in zip(clips, cuts, strict=True):
        (said,) = cut["supervisions"]
        assert cut["type"] != "MixedCut"
        assert not cut["recording"].get("transforms")
        assert clip.reference == said["text"].strip()
        assert clip.start_seconds == cut["start"] + said["start"] >= cut["start"] - 0.05
        assert clip.length_seconds == said["duration"]
        assert said["start"] + said["duration"] <= cut["duration"] + 0.06
        assert clip.path.name == cut["recording"]["sources"][0]["source"].removeprefix("./")


@st.composite
def kaldi_of(draw):
    """A Kaldi folder's tables in which up to two lines are not as they should be."""
    keys = draw(
        st.lists(st.sampled_from(["a", "b", "c", "u0"]), min_size=1, max_size=3, unique=True)
    )
    tables = {
        "wav.scp": [[key, draw(PATHS)] for key in keys],
        "text": [[key, draw(TEXTS.filter(lambda t: "\u2028" not in t))] for key in keys],
    }
    if draw(st.booleans()):
        tables["utt2spk"] = [[key, f"s-{key}"] for key in keys]
    if draw(st.booleans()):
        tables["segments"] = [[key, draw(st.sampled_from(keys)), "0.25", "1.0"] for key in keys]
    odd = [
        "",
        "x",
        "-1",
        "1,5",
        "nan",
        "1e-1",
        "2",
        "u1.wav |",
        "two  words",
        "a",
        '"',
        "b.ark:7",
        "\u00a0",
    ]
    for _ in range(draw(st.integers(0, 2))):
        lines = tables[draw(st.sampled_from(sorted(tables)))]
        line = draw(st.sampled_from(lines))
        at = draw(st.integers(0, len(line) - 1))
        line[at] = draw(st.sampled_from(odd))
        if draw(st.booleans()):
            lines.insert(
                draw(st.integers(0, len(lines))), draw(st.sampled_from([[""], list(line)]))
            )
    end = draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    return {name: end.join(" ".join(line) for line in lines) for name, lines in tables.items()}


def kaldi_agrees(folder, tables):
    """Against the tables as Kaldi's own scripts split them: a key, and the rest of the line."""
    root = folder
    for name in ("wav.scp", "text", "utt2spk", "segments"):
        (root / name).unlink(missing_ok=True)
    for name, text in tables.items():
        (root / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        clips = list_clips(DataSpec(name="kaldi", path=str(root))).clips
    except SoundscaleError as problem:
        one_line(problem)
        return
    split = {
        name: dict(
            (*line.strip().split(None, 1), "")[:2]
            for line in (root / name).read_bytes().decode().split("\n")
            if line.strip()
        )
        for name in tables
    }
    whole = {key: (key, 0.0, None) for key in split["wav.scp"]}
    cut = {
        key: (rest.split()[0], float(rest.split()[1]), float(rest.split()[2]))
        for key, rest in split.get("segments", {}).items()
    }
    wanted = cut if "segments" in tables else whole
    assert {c.utterance_id for c in clips} == set(wanted) == set(split["text"])
    for clip in clips:
        recording, start, end = wanted[clip.utterance_id]
        assert clip.reference == split["text"][clip.utterance_id]
        assert clip.path.name == split["wav.scp"][recording]
        assert (clip.start_seconds, clip.length_seconds) == (
            start,
            None if end is None else end - start,
        )
        assert clip.speaker == (split.get("utt2spk", {}).get(clip.utterance_id) or None)


quickly = settings(
    max_examples=100, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
thoroughly = settings(quickly, max_examples=2_000)
READERS = {
    "csv": (delimited(tabs=False), lambda folder, text: csv_agrees(folder, text, tabs=False)),
    "tsv": (delimited(tabs=True), lambda folder, text: csv_agrees(folder, text, tabs=True)),
    "jsonl": (OBJECTS, json_agrees),
    "lhotse": (cuts_of(), cuts_agree),
    "kaldi": (kaldi_of(), kaldi_agrees),
}


@pytest.mark.parametrize("reader", READERS)
def test_no_manifest_is_read_otherwise_than_by_another_reader(folder, reader):
    written, agrees = READERS[reader]
    quickly(given(written)(lambda made: agrees(folder, made)))()


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_none_of_thousands_of_manifests_is_read_otherwise(folder, reader):
    written, agrees = READERS[reader]
    thoroughly(given(written)(lambda made: agrees(folder, made)))()
