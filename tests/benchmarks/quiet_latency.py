"""What a stage of latency is worth: stated p95 against real utterances, A against A, order of configurations.

    python tests/benchmarks/quiet_latency.py requests [--sets prompts,joined,french] [--n 28] [--french FOLDER]
    python tests/benchmarks/quiet_latency.py order COPY.db SWEEP [--seconds 40] [--stages 2] [--busy 1]

`requests` times every utterance of three sets of recorded speech once in twelve configurations, in turns.
The p95 that the first `--rounds` requests state (as a stage would) is held against the order statistic of
all the others, and so is the p95 of a stage model that never saw the configuration. `order` runs the stage
of a finished sweep several times and compares the orders of medians with each other and with FLOPs, the
noise floor with the difference of stages; `--busy` keeps so many other processes computing meanwhile.
Needs the weights' tokenizer and the prompts of Debian (`runner.data.prompts`); French prompts are the content
of asterisk-core-sounds-fr-wav and asterisk-core-sounds-fr below one folder.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gzip
import itertools
import json
import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.model import fit_latency_model, window_of
from planner.plan.workload import Workload
from planner.store import latency_stages, read
from planner.store.engine import opened
from planner.store.latency_stages import TurnRow
from planner.words.catalogue import BUILT_IN
from planner.words.records import Adaptation, Device, Latency, Reduction, Resources, Trial
from runner.data.clips import Corpus, DataSpec
from runner.data.corpus import load_corpus
from runner.data.prompts import transcripts
from runner.probing.contestants import Contestant
from runner.probing.stage import StageRequest, measure
from runner.probing.stage_process import StageProcess
from runner.probing.stage_results import Facts, sizes_of, timed_request
from runner.trial.quantiles import BUSY, by_processor, contention, measured, share_above
from runner.weights.base_weights import base_weights

CONFIGURATIONS = [
    (backbone, seconds, reduction)
    for backbone in ("whisper-tiny.en", "whisper-base")
    for seconds, reduction in (
        (12.0, "none"), (8.0, "none"), (4.0, "none"), (12.0, "stem:2"), (12.0, "stem:4"), (4.0, "stem:4"),
    )
]  # fmt: skip
"""The quickstart's twelve: a star with its corner."""

_PROMPTS = DataSpec(
    name="prompts", task="asr", test_fraction=0.35, validation_fraction=0.0, min_seconds=1.5,
    max_seconds=12,
)  # fmt: skip
SETS = {
    "prompts": _PROMPTS,
    "joined": dataclasses.replace(_PROMPTS, join_seconds=9.0),
    "long": dataclasses.replace(_PROMPTS, join_seconds=16.0),
}
FRENCH = DataSpec(
    name="manifest",
    task="asr",
    min_seconds=1.0,
    join_seconds=9.0,
    n_test=32,
    split_policy="official",
)
SOUNDS = "usr/share/asterisk/sounds/fr_CA_f_June"
TEXTS = "usr/share/doc/asterisk-core-sounds-fr/core-sounds-fr.txt.gz"


def french(folder: Path) -> DataSpec:
    """The French prompts of a telephone system as a manifest: every third one to train, the others to score."""
    texts = transcripts(gzip.decompress((folder / TEXTS).read_bytes()).decode("utf-8"))
    rows = [
        {"path": str(folder / SOUNDS / f"{name}.wav"), "text": text, "speaker": "june",
         "split": "train" if k % 3 == 0 else "test"}
        for k, (name, text) in enumerate(sorted(texts.items()))
        if (folder / SOUNDS / f"{name}.wav").is_file()
    ]  # fmt: skip
    path = folder / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return dataclasses.replace(FRENCH, path=str(path))


def contestants(corpus: Corpus, threads: int = 1) -> list[Contestant]:
    """Twelve configurations on a corpus; an utterance's output tokens are those of its reference."""
    tokenizer = base_weights(BUILT_IN.backbone("whisper-base"), None).tokenizer
    assert tokenizer is not None
    tokens = {c.utterance_id: len(tokenizer.encode(c.reference)) + 1 for c in corpus.test}
    out = []
    for number, (backbone, seconds, reduction) in enumerate(CONFIGURATIONS, start=1):
        trial = Trial(
            task="asr", dataset=corpus.name, dataset_digest=corpus.digest,
            split_policy=corpus.split_policy, n_train=0, n_test=len(corpus.test), backbone=backbone,
            audio_seconds=seconds, reduction=Reduction.parse(reduction),
            adaptation=Adaptation(kind="none", lora_rank=None),
        )  # fmt: skip
        windows = sum(max(1.0, np.ceil(c.audio_seconds / seconds)) for c in corpus.test)
        out.append(
            Contestant(
                run_id=number,
                precision="float32",
                trial=trial,
                resources=Resources(cpus=threads),
                utterances=tuple(
                    (c.utterance_id, c.audio_seconds, tokens[c.utterance_id]) for c in corpus.test
                ),
                mean_output_tokens=sum(tokens.values()) / windows,
            )
        )
    return out


def time_all(corpus: Corpus, data: DataSpec, most: float) -> dict:
    """Every utterance once in every configuration, in turns, or as many as fit into `most` seconds."""
    every = contestants(corpus)
    turns: list[TurnRow] = []
    with StageProcess(every, data, BUILT_IN, most_timed=len(corpus.test)) as process:
        facts = {f["contestant"]: f for f in process.loaded()}
        problems = [f for f in facts.values() if "problem" in f]
        assert not problems, problems
        n = max(f["n_timed"] for f in facts.values())
        ended = time.monotonic() + most
        for round_ in range(n):
            if time.monotonic() > ended:
                break
            for one in np.random.default_rng(round_).permutation(len(every)):
                key = every[one].key
                turns.append(
                    TurnRow(
                        contestant=key,
                        round=round_,
                        run_id=every[one].run_id,
                        timed=process.turn(key, round_),
                    )
                )
    return {"contestants": every, "facts": facts, "turns": turns}


def again(corpus: Corpus, given: argparse.Namespace, name: str) -> dict:
    """What an earlier run measured, to be stated by today's rule."""
    kept = json.loads(Path(given.out).with_suffix(f".{name}.json").read_text())
    turns = [TurnRow(**turn) for turn in kept["turns"]]
    return {"contestants": contestants(corpus), "facts": kept["facts"], "turns": turns}


def row_of(one: Contestant, told: dict, turns: Sequence[TurnRow], n_rounds: int) -> dict:
    """Stated from the first rounds against all other utterances, by the clock that a stage would use."""
    facts = Facts(**told)
    taken = [timed_request(t) for t in turns if t.contestant == one.key]
    ratio = contention(taken) or 1.0
    used = [by_processor(t) for t in taken] if ratio > BUSY else taken
    stating, rest = used[:n_rounds], used[n_rounds:]
    mean = max(1, round(one.mean_output_tokens or 1))
    sizes = sizes_of(one, facts.n_windows)
    stated = measured(taken[:n_rounds], sizes, mean, facts.stages, alone=True, on_cpu=True)
    whole = measured(taken, sizes, mean, facts.stages, alone=True, on_cpu=True)
    real = np.array([1e3 * t.wall_seconds for t in rest])
    every = np.array([1e3 * t.wall_seconds for t in used])
    of_windows = sizes[:, 0].mean() * stated["p95_ms"]
    return {
        "configuration": one.trial.label.rsplit(" · ", 1)[0],
        "contention": ratio,
        "n_stating": len(stating),
        "n_real": len(rest),
        "n_all": len(every),
        "stated_p95_ms": stated["request_p95_ms"],
        "real_p95_ms": float(np.quantile(every, 0.95)),
        "stated_p50_ms": stated["request_p50_ms"],
        "real_p50_ms": float(np.median(every)),
        "n_above": int((real > stated["request_p95_ms"]).sum()),
        "n_above_all": int((every > stated["request_p95_ms"]).sum()),
        "n_above_windows": int((real > of_windows).sum()),
        "noise_floor": whole["noise_floor"],
        "noise_floor_stated": stated["noise_floor"],
        "window_p50_ms": whole["p50_ms"],
        "share_above_whole": share_above(used, sizes),
        "latency": (stated, mean, one),
    }


def never_run(rows: Sequence[dict], corpus: Corpus) -> list[float]:
    """p95 of requests of each configuration by the stage model of the others and the stored sizes (ms)."""
    device = Device(name="here", kind="cpu", model="", n_threads=1)
    known = [
        Latency(
            device=device,
            backbone=one.trial.backbone,
            audio_seconds=one.trial.audio_seconds,
            reduction=one.trial.reduction,
            n_output_tokens=mean,
            n_warmup=1,
            **stated,
        )
        for stated, mean, one in (row["latency"] for row in rows)
    ]
    out = []
    for k, own in enumerate(known):
        one = rows[k]["latency"][2]
        model = fit_latency_model(known[:k] + known[k + 1 :])
        (told,) = model.predict_each([window_of(own, BUILT_IN.backbone(own.backbone))])
        tokens = [float(n or 0) for _, _, n in one.utterances]
        seconds = tuple(s for _, s, _ in one.utterances)
        workload = Workload(
            seconds=seconds, tokens=tuple(tokens), output_tokens=float(np.mean(tokens)), source="stored",
        )  # fmt: skip
        factor = workload.request_factors(
            np.array([own.audio_seconds]),
            np.zeros(1, np.int64),
            np.array([told.token_share]),
            (0.95,),
        )[0, 0]
        n_windows = workload.windows(own.audio_seconds)
        out.append(told.p50_ms * n_windows * factor)
    return out


def requests(given: argparse.Namespace) -> None:
    """The table of stated and real p95, set by set."""
    found: dict[str, list[dict]] = {}
    for name in given.sets.split(","):
        data = french(Path(given.french)) if name == "french" else SETS[name]
        data = dataclasses.replace(data, n_test=given.n)
        corpus = load_corpus(data)
        timed = again(corpus, given, name) if given.kept else time_all(corpus, data, given.seconds)
        kept = {"facts": timed["facts"], "turns": [dataclasses.asdict(t) for t in timed["turns"]]}
        Path(given.out).with_suffix(f".{name}.json").write_text(json.dumps(kept))
        rows = [
            row_of(one, timed["facts"][one.key], timed["turns"], given.rounds)
            for one in timed["contestants"]
        ]
        for row, model in zip(rows, never_run(rows, corpus), strict=True):
            row["model_p95_ms"] = model
            del row["latency"]
            row["error"] = row["stated_p95_ms"] / row["real_p95_ms"] - 1
            row["model_error"] = row["model_p95_ms"] / row["real_p95_ms"] - 1
            print(
                f"{name:8} {row['configuration']:46} stated {row['stated_p95_ms']:6.0f} real "
                f"{row['real_p95_ms']:6.0f} ({100 * row['error']:+5.1f} %), above {row['n_above_all']:2d} of "
                f"{len(corpus.test)}, not stating {row['n_above']} of {row['n_real']} (by windows "
                f"{row['n_above_windows']}), never run {row['model_p95_ms']:6.0f} "
                f"({100 * row['model_error']:+5.1f} %), A/A {100 * (row['noise_floor'] or 0):.1f} %, "
                f"contention {row['contention']:.1f}",
                flush=True,
            )
        found[name] = rows
        Path(given.out).write_text(json.dumps(found, indent=1))
    every = list(itertools.chain(*found.values()))
    errors = np.abs([row["error"] for row in every])
    n, above = sum(r["n_real"] for r in every), sum(r["n_above"] for r in every)
    n_all, above_all = sum(r["n_all"] for r in every), sum(r["n_above_all"] for r in every)
    print(
        f"{len(every)} configurations x sets: |error| median {100 * np.median(errors):.1f} %, within 8 %: "
        f"{int((errors <= 0.08).sum())}; share above {100 * above_all / n_all:.1f} % of {n_all}, "
        f"of those that do not state it {100 * above / n:.1f} % of {n} (windows "
        f"times p95 of a window: {100 * sum(r['n_above_windows'] for r in every) / n:.0f} %); "
        f"A/A median {100 * np.median([r['noise_floor'] or 0 for r in every]):.1f} %"
    )


def _compute() -> None:
    while True:
        sum(i * i for i in range(100_000))


@contextlib.contextmanager
def busy(n: int) -> Iterator[None]:
    """So many other processes that compute meanwhile."""
    others = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(n)]
    for one in others:
        one.start()
    try:
        yield
    finally:
        for one in others:
            one.terminate()
            one.join()


def order(given: argparse.Namespace) -> None:
    """Stages of a finished sweep against each other and against FLOPs."""
    tables = []
    with opened(given.db, must_exist=True) as engine, busy(given.busy):
        for _ in range(given.stages):
            asked = StageRequest(
                sweep=given.sweep, host=socket.gethostname(), only_here=False, again=True,
                seconds=given.seconds,
            )  # fmt: skip
            outcome = measure(engine, asked, print)
            assert outcome.stage is not None
            rows = read.runs(engine, sweep=given.sweep, status="finished")
            newest = {s.run_id: s.latency for s in read.latencies(engine)}
            tables.append({row.run_id: newest[row.run_id] for row in rows})
            print(json.dumps({"stage": outcome.stage.latency_stage_id, "n_rounds": outcome.stage.n_rounds,
                              "seconds": round(outcome.stage.seconds, 1)}))  # fmt: skip
        stages = latency_stages.stages(engine, read.sweep_id_of(engine, given.sweep))
    for row in rows:
        told = [t[row.run_id] for t in tables]
        print(
            f"{row.trial.label:60} p50 {' '.join(f'{x.p50_ms:7.1f}' for x in told)} ms, requests p95 "
            f"{' '.join(f'{x.request_p95_ms or 0:7.0f}' for x in told)}, A/A "
            f"{' '.join(f'{100 * (x.noise_floor or 0):.1f}' for x in told)} %, contention "
            f"{' '.join(f'{x.contention or 0:.2f}' for x in told)}"
        )
    flops = {
        r.run_id: forward_flops(
            BUILT_IN.backbone(r.trial.backbone), audio_seconds=r.trial.audio_seconds,
            reduction=r.trial.reduction, n_output_tokens=max(1, round(r.mean_output_tokens or 1)),
            padding="dynamic", task="asr",
        ).total
        for r in rows
    }  # fmt: skip
    backbone = {r.run_id: r.trial.backbone for r in rows}
    pairs = list(itertools.combinations([r.run_id for r in rows], 2))
    again = [np.sign(tables[0][a].p50_ms - tables[0][b].p50_ms) == np.sign(tables[-1][a].p50_ms - tables[-1][b].p50_ms)
             for a, b in pairs]  # fmt: skip
    within = [(a, b) for a, b in pairs if backbone[a] == backbone[b]]
    right = [
        np.sign(flops[a] - flops[b]) == np.sign(tables[-1][a].p50_ms - tables[-1][b].p50_ms)
        for a, b in within
    ]
    apart = [abs(tables[0][k].p50_ms / tables[-1][k].p50_ms - 1) for k in tables[0]]
    print(
        f"same order in both stages: {sum(again)} of {len(pairs)} pairs; monotone in FLOPs within a backbone: "
        f"{sum(right)} of {len(within)}; p50 of two stages apart: median {100 * np.median(apart):.1f} %, at most "
        f"{100 * max(apart):.1f} %; A/A of the last {100 * (stages[-1].noise_floor or 0):.1f} %, at most "
        f"{100 * (stages[-1].noise_floor_largest or 0):.1f} %; above the stated p95 "
        f"{100 * (stages[-1].share_above_p95 or 0):.1f} %"
    )


def main() -> None:
    """Parse and run."""
    asked = argparse.ArgumentParser(description=__doc__)
    kinds = asked.add_subparsers(required=True)
    one = kinds.add_parser("requests")
    one.add_argument("--sets", default="prompts,joined,french")
    one.add_argument("--french", default="asterisk-fr")
    one.add_argument("--n", type=int, default=28)
    one.add_argument("--rounds", type=int, default=8)
    one.add_argument("--seconds", type=float, default=3600.0)
    one.add_argument("--out", default="quiet_latency.json")
    one.add_argument("--kept", action="store_true", help="state again what is beside --out")
    one.set_defaults(do=requests)
    two = kinds.add_parser("order")
    two.add_argument("db")
    two.add_argument("sweep")
    two.add_argument("--seconds", type=float, default=None)
    two.add_argument("--stages", type=int, default=2)
    two.add_argument("--busy", type=int, default=0)
    two.set_defaults(do=order)
    given = asked.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
