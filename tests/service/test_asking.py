"""What can be asked beside limits: finer and listed candidates, demand, training, and the exit codes."""

import dataclasses
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.costs.flops.forward import forward_flops
from planner.costs.flops.training import training_flops
from planner.costs.memory.peak import inference_memory
from planner.errors import InfeasibleError, InputError, OutsideDataError, ProbabilityError
from planner.evidence.study import gather
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.influence import elasticities, weights
from planner.service import asking, fitting, prepared, replay, target, whatif
from planner.words.asked import READERS
from planner.words.catalogue import backbone
from planner.words.question import LIMITS, PlanQuery
from planner.words.records import Reduction
from tests.benchmarks import simulated
from tests.notebooks.conftest import quickstart_db
from tests.service.test_measured import HEADER, ask, rows

__all__ = ["quickstart_db"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asking")
    table = folder / "results.csv"
    table.write_text("\n".join([HEADER, *rows()]))
    db = str(folder / "runs.db")
    fitting.import_results(db, str(table))
    return db


@pytest.fixture(scope="module")
def own_runs():
    """Evidence that knows what was trained, its law, and a table under a question."""
    study = simulated.Study.start(simulated.world(3), 3, simulated.sweep(3, 16))
    evidence = gather(study.rows, "asr")
    fit = fit_law(evidence.observations, law="additive")

    def table(**question):
        query = PlanQuery(task="asr", **{"flops": 1e15, **question})
        return candidates.build(query, evidence, fit, simulated.WORKLOAD, None)

    return evidence, fit, table


def test_a_finer_grid_holds_the_levels_and_more_between(measured):
    query = PlanQuery(task="asr", flops=60e9)
    coarse = prepared.prepared_of(measured, query).table
    fine = prepared.prepared_of(measured, dataclasses.replace(query, grid=True)).table
    assert set(coarse.configs) < set(fine.configs)
    assert {c.reduction.factor for c in fine.configs} == {1, 2, 3, 4}
    assert fine.distance.max() == 0.0


def test_a_finer_grid_never_gives_a_worse_answer(measured):
    coarse = ask(measured, flops=60e9)["best"]["prediction"]["error"]
    assert ask(measured, flops=60e9, grid=True)["best"]["prediction"]["error"] <= coarse


def test_listed_candidates_are_the_only_ones(measured):
    listed = ("whisper-tiny, 8, none", "whisper-base,8,stem:2,lora:8")
    answer = ask(measured, flops=1e12, candidates=listed)
    assert answer["n_candidates"] == 2
    assert answer["best"]["config"]["backbone"] == "whisper-base"
    same, _ = replay.replay(measured, answer["answer_id"])
    assert same


@pytest.mark.parametrize("text", ["whisper-tiny", "whisper-tiny,x,none", "whisper-tony,8,none"])
def test_a_listed_candidate_that_cannot_be_read_is_named(measured, text):
    with pytest.raises(InputError, match=text.split(",")[0]):
        ask(measured, flops=1e12, candidates=(text,))


def test_the_file_of_candidates_may_have_a_header_and_comments(measured, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("backbone,audio_seconds,reduction\n# mine\nwhisper-base,9,none\n")
    command = ["plan", "--task", "asr", "--flops", "1T", "--db", measured, "-f", "json"]
    found = CliRunner().invoke(cli, [*command, "--candidates", str(path)])
    assert found.exit_code == 0
    assert '"audio_seconds": 9.0' in found.stdout


def test_training_flops_are_those_of_the_trial(own_runs):
    evidence, _, table = own_runs
    made = table()
    trial = evidence.rows[0].trial
    j = made.configs.index(candidates.config_of(trial))
    n = simulated.tokens(made.configs[j])
    one = training_flops(
        backbone(trial.backbone), audio_seconds=trial.audio_seconds, reduction=trial.reduction,
        adaptation=trial.adaptation, n_label_tokens=n, padding=trial.padding, task=trial.task,
    )  # fmt: skip
    seen = trial.optimisation.steps * trial.optimisation.batch_size
    assert made.costs["train_flops"].value[j] == seen * one.total


def test_demand_adds_the_trainings_share_to_each_utterance(own_runs):
    *_, table = own_runs
    once, spread = table(), table(demand=1e6)
    share = once.costs["train_flops"].value / 1e6
    np.testing.assert_allclose(
        spread.costs["flops"].value, once.costs["flops"].value + share, rtol=1e-12
    )
    assert "1e+06 utterances" in spread.costs["flops"].source[0]


def test_training_of_runs_that_do_not_tell_is_not_made_up(measured):
    with pytest.raises(InputError, match="do not say what was trained"):
        ask(measured, train_flops=1e18)
    with pytest.raises(InputError, match="demand"):
        ask(measured, flops=1e12, demand=1e6)


def test_limits_met_as_expected_but_not_surely_enough_are_another_error(measured):
    only = ("whisper-base,8,stem:2",)
    value = whatif.whatif(measured, PlanQuery(task="asr"), "whisper-base", 8.0, "stem:2")
    limit = value["costs"]["latency_ms"]["value"] * 1.001
    with pytest.raises(ProbabilityError, match="the likeliest") as caught:
        ask(measured, latency_ms=limit, candidates=only)
    p = caught.value.details["likeliest"]["joint_probability"]
    assert 0.5 <= p < 0.9
    assert ask(measured, latency_ms=limit, candidates=only, min_prob=p - 0.01)["best"]


def test_no_probability_helps_where_nothing_fits(measured):
    with pytest.raises(InfeasibleError) as caught:
        ask(measured, flops=1.0, min_prob=0.001)
    assert not isinstance(caught.value, ProbabilityError)


def test_where_nothing_fits_the_nearest_limit_the_errors_there_and_the_shorter_question_are_told(
    measured,
):
    with pytest.raises(InfeasibleError) as caught:
        ask(measured, flops=1.0, utterance_seconds=20.0)
    (way,) = caught.value.details["relaxations"]
    there = ask(measured, flops=1.0001 * way["value"], utterance_seconds=20.0)["best"]
    error = 100 * there["prediction"]["error"]
    assert there["config"] == way["config"]
    assert caught.value.details["message"].endswith(
        f", {error:.3g} % errors); that is of an utterance of 20 s: --per window asks of one encoder window"
    )
    with pytest.raises(InfeasibleError) as caught:
        ask(measured, flops=1.0, utterance_seconds=20.0, per="window")
    assert "--per" not in caught.value.details["message"]


def test_far_outside_the_data_is_refused_unless_asked_for(measured):
    query = PlanQuery(task="asr")
    with pytest.raises(OutsideDataError, match="--extrapolate"):
        whatif.whatif(measured, query, "whisper-large-v3", 10.0, "none")
    asked = dataclasses.replace(query, extrapolate=True)
    found = whatif.whatif(measured, asked, "whisper-large-v3", 10.0, "none")
    assert found["prediction"]["kind"] == "extrapolated"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["plan", "--flops", "1"], 3),
        (["plan", "--latency", "{limit}ms", "--candidates", "{file}"], 8),
        (["whatif", "--backbone", "whisper-large-v3", "--audio-seconds", "10"], 9),
        (["plan", "--flops", "1T", "--measured-only", "--grid"], 2),
    ],
    ids=["infeasible", "probability too low", "outside the data", "contradiction"],
)
def test_each_refusal_has_its_own_exit_code(measured, tmp_path, arguments, code):
    from planner.errors import SoundscaleError

    path = tmp_path / "one.csv"
    path.write_text("whisper-base,8,stem:2\n")
    value = whatif.whatif(measured, PlanQuery(task="asr"), "whisper-base", 8.0, "stem:2")
    limit = value["costs"]["latency_ms"]["value"] * 1.001
    filled = [a.format(limit=limit, file=path) for a in arguments]
    done = CliRunner().invoke(cli, [*filled, "--task", "asr", "--db", measured])
    assert isinstance(done.exception, SoundscaleError)
    assert done.exception.exit_code == code


def test_an_answer_says_what_it_rests_on_and_where_it_changes(measured):
    answer = ask(measured, flops=20e9)
    assert sum(r["share"] for r in answer["carried_by"]) <= 1 + 1e-9
    first = answer["steps"]["flops"][0]
    assert first["at"] == answer["switches"]["flops"]["at"]
    for step in answer["steps"]["flops"]:
        then = ask(measured, flops=step["at"])["best"]
        assert (then["config"], then["prediction"]["error"]) == (step["config"], step["error"])


def test_elasticities_equal_finite_differences_of_the_law(own_runs):
    evidence, fit, _ = own_runs
    x0 = evidence.observations.x[3]
    found = elasticities(fit, x0, 0.9, 0)
    for i, name in enumerate(fit.axes):
        more = x0.copy()
        more[i] *= 1.0001
        slope = np.log(fit.predict([more]).mean / fit.predict([x0]).mean)[0] / np.log(1.0001)
        assert found[name]["value"] == pytest.approx(slope, abs=1e-3)
        assert found[name]["low"] <= found[name]["value"] <= found[name]["high"]


def test_a_runs_weight_is_how_far_it_moves_the_prediction(own_runs):
    evidence, fit, _ = own_runs
    table = evidence.observations
    x0 = table.x[2]
    share, moved = weights(fit, x0, table.x), []
    some = [0, 2, 5, 9, 13]
    for i in some:
        error = table.error.copy()
        error[i] *= np.exp(1e-3)
        again = fit_law(dataclasses.replace(table, error=error), law="additive")
        moved.append(np.log(again.predict([x0]).mean / fit.predict([x0]).mean)[0] / 1e-3)
    # The weights are those of the law linearised: they agree in rank and size, not to the digit.
    assert some[int(np.argmax(moved))] == some[int(share[some].argmax())] == 2
    assert np.corrcoef(share[some], moved)[0, 1] > 0.85


def test_what_an_earlier_format_stored_is_kept_and_stands_in_nobodys_way(measured, monkeypatch):
    query = PlanQuery(task="asr", flops=31e9)
    with monkeypatch.context() as earlier:
        earlier.setattr(asking, "FORMAT", "answer/1")
        before = asking.plan(measured, query).json
    now = asking.plan(measured, query).json
    assert now["answer_id"] != before["answer_id"]
    assert replay.replay(measured, before["answer_id"])[0]


def test_costs_shown_equal_costs_recomputed(measured):
    answer = ask(measured, flops=60e9, utterance_seconds=25.0, output_tokens=30.0)
    for shown in (answer["best"], *answer["runners_up"]):
        config, costs = shown["config"], shown["costs"]
        shape = backbone(config["backbone"])
        asked = {"audio_seconds": config["audio_seconds"]}
        asked["reduction"] = Reduction.parse(config["reduction"])
        n_windows = math.ceil(25.0 / config["audio_seconds"])
        asked["n_output_tokens"] = max(round(30.0 / n_windows), 1)
        assert costs["n_windows"] == n_windows
        assert costs["flops"]["value"] == n_windows * forward_flops(shape, **asked).total
        assert costs["memory_bytes"]["value"] == inference_memory(shape, **asked).total


def test_a_plan_on_sqlite_imports_neither_torch_nor_ray_nor_scipy_nor_the_other_database(measured):
    code = (
        "import sys\n"
        "from planner.cli.main import cli\n"
        f"command = ['plan', '--task', 'asr', '--flops', '60G', '--db', {measured!r}]\n"
        "cli.main(command, standalone_mode=False)\n"
        "heavy = ('torch', 'ray', 'scipy', 'pandas', 'transformers', 'fastapi', 'alembic',\n"
        "         'sqlalchemy.dialects.postgresql')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "answer" in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("asked", [{"flops": 5e9}, {"latency_ms": 30.0}, {"memory_bytes": 9e7}])
def test_a_limit_that_a_refusal_names_is_enough_as_it_is_printed(quickstart_db, asked):
    (name,) = asked
    with pytest.raises(InfeasibleError) as refused:
        asking.plan(str(quickstart_db), PlanQuery(task="asr", **asked))
    said = re.search(r"relax one: (?:[a-zA-Z]+ )?([0-9.]+ [a-zA-Z]+) \(", str(refused.value))
    one = next(o for o in LIMITS if o.name == name)
    typed = READERS[one.kind](said.group(1))
    assert asking.plan(str(quickstart_db), PlanQuery(task="asr", **{name: typed})).json["best"]


@pytest.mark.parametrize("error", [0.06, 0.08, 0.12])
@pytest.mark.parametrize(
    "limits", [{"flops": 5e9}, {"flops": 9e9, "latency_ms": 300.0}, {"latency_ms": 900.0}]
)
def test_a_target_that_is_refused_names_limits_under_which_it_is_reached(
    quickstart_db, error, limits
):
    db = str(quickstart_db)

    def reached(**changed):
        asked = PlanQuery(task="asr", **{**limits, **changed})
        return target.plan_target(db, asked, error, "memory_bytes")["best"] is not None

    with pytest.raises(InfeasibleError) as refused:
        reached()
    found = refused.value.details
    for way in found["relaxations"]:
        assert reached(**{way["limit"]: way["value"] * (1 + 1e-9)})
        with pytest.raises(InfeasibleError):
            reached(**{way["limit"]: way["value"] * 0.999})
    if together := found.get("relaxed_together"):
        assert reached(**{name: value * (1 + 1e-9) for name, value in together.items()})
        assert not found["relaxations"]
    if not found["relaxations"] and not together:
        # Out of reach whatever is allowed, and said so.
        with pytest.raises(InfeasibleError, match="nearest target"):
            target.plan_target(db, PlanQuery(task="asr"), error, "memory_bytes")
        assert "without any limit the nearest target" in str(refused.value)


@pytest.mark.parametrize("limits", [{"flops": 8e9}, {"flops": 13e9}, {"latency_ms": 1200.0}])
def test_the_limit_at_which_the_choice_would_change_changes_it_as_it_is_printed(
    quickstart_db, limits
):
    answer = asking.plan(str(quickstart_db), PlanQuery(task="asr", **limits)).json
    (said,) = [r for r in answer["reasons"] if "limit binds" in r]
    at, becomes = re.search(
        r"at ([0-9.]+ [a-zA-Z]+) the choice would become (.*), [0-9.]+ points", said
    ).groups()
    (name,) = limits
    one = next(o for o in LIMITS if o.name == name)
    asked = PlanQuery(task="asr", **{name: READERS[one.kind](at)})
    assert asking.plan(str(quickstart_db), asked).json["best"]["label"] == becomes
