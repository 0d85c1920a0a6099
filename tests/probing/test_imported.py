"""A device that was measured elsewhere: what its file must hold, and that the planner then knows it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.errors import InputError, UnknownNameError
from planner.store import read
from planner.store.engine import opened
from planner.words.catalogue import BUILT_IN
from runner.commands.probe import probe
from runner.probing import imported

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "gpu.py"
HEAVY = (
    "sqlalchemy",
    "alembic",
    "pydantic",
    "ray",
    "soundfile",
    "soxr",
    "jiwer",
    "fastapi",
    "pandas",
)


def row(**changed):
    device = {"name": "h200", "kind": "cuda", "model": "NVIDIA H200", "n_threads": 1}
    reduction = {"operator": "stride", "place": "stem", "layer": None, "factor": 2}
    return {
        "device": device, "backbone": "whisper-small", "audio_seconds": 10.0, "reduction": reduction,
        "n_output_tokens": 20, "p50_ms": 30.0, "p90_ms": 31.0, "p95_ms": 32.0, "p99_ms": 33.0, "n_samples": 12,
        "n_warmup": 2, "dtype": "bfloat16", "stages_ms": {"features": 1.0, "encoder": 4.0, "decode": 25.0},
    } | changed  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*rows, **document):
        path = tmp_path / "gpu.json"
        whole = {
            "format": imported.FORMAT,
            "parts": {"latency": {"latencies": list(rows)}},
        } | document
        path.write_text(json.dumps(whole))
        return path

    return write


def test_its_latencies_are_stored_as_the_devices_own(written, tmp_path):
    db = str(tmp_path / "runs.db")
    path = written(row(), row(audio_seconds=20.0, p50_ms=31.5))
    done = CliRunner().invoke(probe, ["--import", str(path), "--db", db, "-f", "json"])
    assert done.exit_code == 0, done.output
    with opened(db, must_exist=True) as engine:
        stored = [s.latency for s in read.latencies(engine)]
    assert sorted((m.device.name, m.audio_seconds, m.p50_ms, str(m.reduction)) for m in stored) == [
        ("h200", 10.0, 30.0, "stem:2"),
        ("h200", 20.0, 31.5, "stem:2"),
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"p50_ms": -1.0}, "latency 2 has p50_ms -1.0, wanted a positive number"),
        ({"p50_ms": "30"}, "latency 2 has p50_ms '30'"),
        ({"p50_ms": 40.0}, "latency 2 has p50 40 ms above p95 32 ms"),
        ({"colour": "red"}, "latency 2 cannot be read"),
        ({"reduction": {"place": "roof"}}, "latency 2 cannot be read"),
    ],
)
def test_one_wrong_value_stores_nothing_and_is_named(written, tmp_path, changed, said):
    db = str(tmp_path / "runs.db")
    path = written(row(), row(**changed))
    done = CliRunner().invoke(probe, ["--import", str(path), "--db", db])
    assert said in str(done.exception)
    with opened(db) as engine:
        assert not read.latencies(engine)


def test_a_backbone_that_is_not_known_here_is_named(written):
    with pytest.raises(UnknownNameError, match="whisper-giant"):
        imported.read(written(row(backbone="whisper-giant")), BUILT_IN)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format": "soundscale-device/9"}, "wanted soundscale-device/1"),
        ({"parts": {}}, "holds no latencies"),
        ({"parts": {"latency": {"problem": "no time"}}}, "no time"),
    ],
)
def test_another_file_is_refused_with_what_it_lacks(written, document, said):
    with pytest.raises(InputError, match=said):
        imported.read(written(row(), **document), BUILT_IN)


def test_the_benchmark_needs_no_package_of_the_store_or_of_clusters():
    program = (
        "import sys; sys.path[:0] = [sys.argv[1], sys.argv[2]]; import gpu; "
        "print([name for name in sys.argv[3:] if name in sys.modules])"
    )
    folder, root = BENCHMARK.parent, BENCHMARK.parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(root), *HEAVY],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_whole_path_runs_on_a_cpu_with_micro_models(tmp_path):
    out = tmp_path / "gpu.json"
    subprocess.run(
        [sys.executable, str(BENCHMARK), "--device", "cpu", "--small", "--seconds", "60", "--out", str(out)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    parts = json.loads(out.read_text())["parts"]
    assert [name for name, part in parts.items() if "problem" in part] == ["energy"]
    assert parts["agreement"]["losses_agree"]
    assert parts["agreement"]["tokens_equal"]
    assert all(step["flops"] > 0 for step in parts["training"]["steps"] if "flops" in step)
    assert (
        len(imported.read(out, BUILT_IN))
        == parts["latency"]["n_calibration"] + parts["latency"]["n_held_out"]
    )
