"""A backbone of the user's own is what the served database says, whatever else the process serves."""

import dataclasses
import shutil

from planner.store import write
from planner.store.engine import opened
from planner.words.catalogue import backbone
from tests.http.conftest import client_of

ASKED = "/v1/whatif?task=asr&backbone=mine&audio_seconds=5&reduction=none&extrapolate=true"
MINE = dataclasses.replace(backbone("whisper-base"), name="mine", hub_id=None)
DEEPER = dataclasses.replace(MINE, encoder_layers=2 * MINE.encoder_layers)


def flops_of(client):
    return client.get(ASKED).json()["costs"]["flops"]["value"]


def test_two_services_in_one_process_give_one_name_two_meanings(own_bench, tmp_path):
    other = shutil.copy(own_bench, tmp_path / "other.db")
    for db, own in ((own_bench, MINE), (str(other), DEEPER)):
        with opened(db) as engine:
            write.add_backbone(engine, own)
    with client_of(own_bench) as first, client_of(str(other)) as second:
        apart = [flops_of(client) for client in (first, second, first)]
    assert apart[0] == apart[2] < apart[1]


def test_a_service_does_not_know_a_backbone_of_another_database(own_bench, bench):
    with opened(own_bench) as engine:
        write.add_backbone(engine, MINE)
    with client_of(own_bench) as first, client_of(bench) as second:
        assert first.get(ASKED).status_code == 200
        refused = second.get(ASKED)
    assert refused.status_code == 422
    assert "unknown backbone 'mine'" in refused.text


def test_a_backbone_that_is_added_while_a_service_runs_is_known_at_once(own_bench):
    with client_of(own_bench) as client:
        assert client.get(ASKED).status_code == 422
        with opened(own_bench) as engine:
            write.add_backbone(engine, MINE)
        assert client.get(ASKED).status_code == 200
