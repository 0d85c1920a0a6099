"""The study that runs itself: first runs, fit, next runs by their value for the decision, and so on to an answer.

The planner decides (`planner.service.study_rounds`), campaigns train through their claims, the database remembers: a
round is stored before any of its runs begins, and the trials of all rounds are the sweep of the study's name. Killed
at any moment, the same command goes on from there, and chooses what it would have chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.cli.options import talk
from planner.costs.trial_forecast import UNKNOWN, forecast, rates_of
from planner.report import study_page, study_text
from planner.service import studies as told
from planner.service.study_rounds import next_of_study
from planner.store import studies
from planner.store.engine import opened
from planner.store.studies import RoundRow, Spend, StudyRow
from planner.words.records import Resources, canonical_json, to_json
from runner.campaign import artifacts, display
from runner.campaign.display import Display
from runner.campaign.drive import CampaignSetting, absolute_db, run_campaign
from runner.campaign.executors import Executor
from runner.campaign.worker import JobOutcome, TrialJob
from runner.exports import in_sweep
from runner.sweep import forecast as sweep_forecast
from runner.sweep import prepare
from runner.sweep.expand import expand_runs
from runner.sweep.keys import DesignSection, Level, SweepSpec
from runner.sweep.prepare import PreparedSweep
from runner.sweep.study_file import StudyFile, load_study, with_spending
from runner.sweep.study_spend import Spending, in_hours
from runner.sweep_commands import RunRequest, make_executor

if TYPE_CHECKING:
    from sqlalchemy import Engine

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRequest:
    """How a study is to be run, as the command line says it."""

    run: RunRequest
    spending: Spending
    report: Path | None
    """Folder of the report's two files; None: none is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A study under way.

    Attributes:
        file, prepared: the study file, and its data and candidates.
        setting: database, artifacts, weights.
        executor: of all rounds, made when something is to be trained.
        new_display: what shows a round.
        after_round: called with the sweep once a round has trained something: exports, latency.
        expected_hours: of a run of each candidate, by its text, before any was made.
    """

    file: StudyFile
    prepared: PreparedSweep
    setting: CampaignSetting
    executor: Callable[[], Executor]
    new_display: Callable[[], Display]
    after_round: Callable[[SweepSpec], object]
    expected_hours: Mapping[str, float]


def execute(path: Path, db: str | None, request: StudyRequest) -> dict[str, Any]:
    """Run a study to its end; its report (`planner.service.studies`).

    Raises:
        InputError, MissingResourceError: as `load_study`, `prepare` and `run_campaign`.
    """
    prepare.require_runner()
    shown, url, run = display.choose(request.run.quiet), absolute_db(db), request.run
    catalogue = prepare.stored_catalogue(url)
    file = with_spending(load_study(path, catalogue), request.spending)
    prepared = prepare.prepare_spec(file.spec, catalogue, shown.say)
    spec = in_sweep.checked(prepared.spec, shown.say, lenient=run.lenient)
    setting = CampaignSetting(
        db=url, artifacts=artifacts.absolute(run.artifacts), weights=run.weights
    )
    kept = KeptExecutor(lambda: make_executor(run, prepared, shown.say))
    with opened(url) as engine, closing(kept):
        before = studies.find_study(engine, spec.name)
        n_workers = run.workers or (before.spend.n_workers if before else _room(kept, prepared))
        file = _in_hours(file, kept, shown.say)
        row = begin(engine, file, n_workers)
        if row.state == "ended":
            shown.say(f"study {row.name!r} has ended: nothing was trained")
            return told.shown(url, row.name)
        candidates = [trial for trial, _ in prepared.trials]
        prepare.find_weights(candidates, prepared.catalogue, run.weights, shown.say)
        course = Course(
            file=file, prepared=prepared, setting=setting, executor=kept.lent,
            new_display=lambda: display.choose(run.quiet),
            after_round=lambda sweep: in_sweep.measure(
                url, sweep.model_copy(update={"engines": spec.engines}), setting.artifacts,
                run.weights, run.ray_address, shown.say,
            ),
            expected_hours=expected_hours(file, prepared, url, here=run.ray_address in ("local", "none")),
        )  # fmt: skip
        return go_on(engine, row, course, shown.say)


def _room(kept: KeptExecutor, prepared: PreparedSweep) -> int:
    """Runs at once, where nobody says it: as many as the executor holds."""
    executor = kept.lent()
    return max(1, executor.capacity(prepared.spec.resources.on(executor.n_gpus)))


def _in_hours(file: StudyFile, kept: KeptExecutor, say: Say) -> StudyFile:
    """The file with GPU-hours as hours of the runs that take place here."""
    asked = file.spending
    if asked.gpu_hours is None:
        return file
    gpus = file.spec.resources.on(kept.lent().n_gpus).gpus
    found = in_hours(asked, gpus)
    say(
        f"{asked.gpu_hours:g} GPU-hours are {found.hours:g} hours of runs, which use {gpus:g} GPUs each"
    )
    return replace(file, spending=found)


def begin(engine: Engine, file: StudyFile, n_workers: int) -> StudyRow:
    """The study's row, new or gone on with.

    Raises:
        InputError: another file is stored under its name.
    """
    spend = Spend(
        hours=file.spending.hours, until_regret=file.spending.until_regret, worth=file.worth,
        n_workers=n_workers,
    )  # fmt: skip
    spec_json = canonical_json(file.spec.model_dump(mode="json"))
    question = canonical_json(to_json(file.query))
    return studies.begin_study(engine, file.spec.name, spec_json, question, spend)


def go_on(engine: Engine, row: StudyRow, course: Course, say: Say) -> dict[str, Any]:
    """Round after round until there is no more to do; the report."""
    first = True
    while True:
        rounds = studies.rounds_of(engine, row.study_id)
        if rounds:
            run_rounds(course, rounds, first=first)
            first = False
        found = next_of_study(engine, row, course.expected_hours)
        if found.verdict is not None:
            say(f"study {row.name!r} ends: {found.verdict}")
            return told.end(engine, row, found)
        number = len(rounds)
        studies.add_round(engine, row.study_id, number, list(found.runs), found.belief)
        say(study_text.round_line(number, found.runs, found.belief))


def run_rounds(course: Course, rounds: Sequence[RoundRow], *, first: bool) -> None:
    """Train what is missing of all rounds: one sweep that grows, so that no trial ever leaves it.

    Args:
        course: the study.
        rounds: all of them.
        first: whether this driver has run none yet: the one before it may have died after its runs and before
            what comes after them, which adds nothing where it was done.
    """
    file, prepared = course.file, course.prepared
    made = [run for one in rounds for run in one.runs]
    references = [
        file.references[r["candidate"]] for r in made if r["candidate"] in file.references
    ]
    runs = [
        (file.candidates[run["candidate"]], int(run["seed"]))
        for run in made
        if run["candidate"] in file.candidates
    ]
    levels = [
        Level(
            backbone=c.backbone, audio_seconds=c.audio_seconds, reduction=c.reduction,
            adaptation=c.adaptation, train_hours=c.train_hours,
        )
        for c in dict.fromkeys(c for c, _ in runs)
    ]  # fmt: skip
    seeds = sorted({seed for _, seed in runs})
    # As a sweep file would say it, but for the seeds of each: trials are told by their fingerprints.
    spec = prepared.spec.model_copy(
        update={"design": DesignSection(kind="list", runs=levels), "seeds": seeds}
    )
    trials = expand_runs(spec, prepared.corpus, runs, prepared.catalogue, references)
    result = run_campaign(
        spec, trials, replace(course.setting, note_storage=first), course.executor, course.new_display(),
        prepare.trial_work(replace(prepared, trials=trials)),
    )  # fmt: skip
    if result.n_trained or first:
        course.after_round(spec)


def expected_hours(
    file: StudyFile, prepared: PreparedSweep, url: str, *, here: bool
) -> dict[str, float]:
    """Hours that a run of each candidate and reference is expected to take, by its text.

    On this machine as `sweep run --dry-run` foretells them; of a cluster, whose devices are not known, by
    assumption: what counts there is how they compare.

    Raises:
        InputError: a candidate cannot fit this machine's memory.
    """
    spec, corpus, catalogue = prepared.spec, prepared.corpus, prepared.catalogue
    texts = [*file.candidates, *file.references]
    # One by one, as the trials of a sweep are put in an order of their own.
    each = [expand_runs(spec, corpus, [(c, 0)], catalogue)[0] for c in file.candidates.values()]
    each += [expand_runs(spec, corpus, [], catalogue, [b])[0] for b in file.references.values()]
    todo = [trial for trial, _ in each]
    as_sweep = PreparedSweep(spec=spec, corpus=corpus, trials=each, catalogue=catalogue)
    found = sweep_forecast.before(as_sweep, todo, url, here=here)
    if not found:
        rates = rates_of([], UNKNOWN["cuda"], "cluster", assumed=True)
        found = {
            trial.fingerprint: forecast(_work(trial, needs, prepared), rates) for trial, needs in each
        }  # fmt: skip
    return {
        text: found[trial.fingerprint].trial_seconds.value / 3600.0
        for text, trial in zip(texts, todo, strict=True)
    }


def _work(trial: Any, needs: Resources, prepared: PreparedSweep) -> Any:
    return sweep_forecast.work_of(trial, needs, prepared.corpus, "cuda", prepared.catalogue)


def write_report(report: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    """The report as `NAME.html` and `NAME.md` in the folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = str(report["name"]).replace("/", "-")
    page, text = folder / f"{stem}.html", folder / f"{stem}.md"
    page.write_text(study_page.study_page(dict(report)), encoding="utf-8")
    text.write_text(study_text.study_markdown(dict(report)), encoding="utf-8")
    talk(f"wrote {page} and {text}")
    return page, text


class KeptExecutor:
    """One executor for all campaigns of a study: a local cluster starts once, and not with every round."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._made: _Lent | None = None

    def lent(self) -> Executor:
        """The executor, made when it is first asked for; what borrows it cannot close it."""
        if self._made is None:
            self._made = _Lent(self._make())
        return self._made

    def close(self) -> None:
        """Let go of everything that it started."""
        if self._made is not None:
            self._made.inner.close()


class _Lent:
    """An executor whose `close` leaves it open."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    # An executor replaces its cluster after an outage, and says other hosts then.
    @property
    def hosts(self) -> frozenset[str]:
        return self.inner.hosts

    @hosts.setter
    def hosts(self, hosts: frozenset[str]) -> None:
        self.inner.hosts = hosts

    @property
    def n_gpus(self) -> float:
        return self.inner.n_gpus

    @n_gpus.setter
    def n_gpus(self, n_gpus: float) -> None:
        self.inner.n_gpus = n_gpus

    def capacity(self, resources: Resources) -> int:
        return self.inner.capacity(resources)

    def most_on_a_node(self, resources: Resources) -> int:
        return self.inner.most_on_a_node(resources)

    def avoid(self, hosts: frozenset[str]) -> None:
        self.inner.avoid(hosts)

    def submit(self, job: TrialJob) -> None:
        self.inner.submit(job)

    def collect(self, seconds: float) -> list[JobOutcome]:
        return self.inner.collect(seconds)

    def stop(self, seconds: float) -> list[JobOutcome]:
        return self.inner.stop(seconds)

    def close(self) -> None:
        """Nothing: it is lent."""
