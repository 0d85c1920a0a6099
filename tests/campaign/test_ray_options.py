from __future__ import annotations

from planner.words.records import Resources
from runner.campaign.ray_options import task_options, worker_environment


def test_a_worker_sees_gpus_only_where_its_trial_was_given_one():
    assert worker_environment(Resources(gpus=0.0))["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in worker_environment(Resources(gpus=0.5))


def test_nodes_that_take_no_trials_are_named_to_ray():
    options = task_options(Resources(), "x", ["b", "a"], joined=False)
    assert options["label_selector"] == {"ray.io/node-id": "!in(a,b)"}
    assert "label_selector" not in task_options(Resources(), "x", [], joined=False)
