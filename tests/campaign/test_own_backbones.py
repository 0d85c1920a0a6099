"""A worker trains the backbone that its own database describes."""

import dataclasses
import subprocess
import sys

import pytest

from planner.store import write
from planner.store.engine import opened
from planner.store.read import run, runs
from planner.words.catalogue import backbone
from tests.campaign.made import NO_LATENCY

MINE = dataclasses.replace(backbone("whisper-micro"), name="mine", hub_id=None)
WIDER = dataclasses.replace(MINE, encoder_layers=2 * MINE.encoder_layers)

SWEEP = """
import sys
from runner.campaign.display import PlainLines
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.sweep.prepare import prepare

for db in sys.argv[3:]:
    prepared = prepare(sys.argv[1], db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=sys.argv[2], poll_seconds=0.05)
    shown = PlainLines(sys.stdout)
    run_campaign(prepared.spec, prepared.trials[:1], setting, InlineExecutor, shown)
"""


@pytest.fixture
def two_databases(tmp_path):
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("first", "second")]
    for url, own in zip(urls, (MINE, WIDER), strict=True):
        with opened(url) as engine:
            write.add_backbone(engine, own)
    return urls


def test_one_worker_process_of_two_databases_trains_each_ones_own(
    two_databases, write_spec, tmp_path
):
    spec = write_spec(('"whisper-micro"', '"mine"'), NO_LATENCY)
    command = [sys.executable, "-c", SWEEP, str(spec), str(tmp_path / "artifacts"), *two_databases]
    subprocess.run(command, check=True, capture_output=True)
    for url, own in zip(two_databases, (MINE, WIDER), strict=True):
        with opened(url) as engine:
            (row,) = runs(engine)
            assert run(engine, row.run_id).n_params_counted == own.n_params
            assert row.n_params == own.n_params
