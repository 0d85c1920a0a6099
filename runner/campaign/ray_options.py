"""What a trial asks of Ray, in Ray's words: resources, nodes, and what its process inherits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from planner.words.records import Resources

GPU_CALLS = 1
"""Trials in one process with GPUs: memory of an earlier one must not be left over.

Ray 2.60 starts a fresh process for each call of a function that was declared with `num_gpus`, and not
for one that is given them by `.options(num_gpus=…)`: `max_calls` says it.
"""


def ray_resources(resources: Resources) -> dict[str, float]:
    """A trial's needs in Ray's names; a device label is a custom resource of the nodes that have it."""
    wanted: dict[str, float] = {"CPU": resources.cpus, "GPU": resources.gpus}
    if resources.memory_bytes is not None:
        wanted["memory"] = float(resources.memory_bytes)
    if resources.device_label is not None:
        wanted[resources.device_label] = 0.001
    return wanted


def worker_environment(resources: Resources) -> dict[str, str]:
    """Environment of a worker on a joined cluster.

    Ray 2.60 leaves every GPU of the node visible where a task asks for none.
    """
    environment = {
        "OMP_NUM_THREADS": str(max(1, int(resources.cpus))),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return environment if resources.gpus > 0 else environment | {"CUDA_VISIBLE_DEVICES": ""}


def task_options(
    resources: Resources, label: str, avoided_nodes: Collection[str], *, joined: bool
) -> dict[str, Any]:
    """Options of a trial's task.

    Args:
        resources: what is set aside for it.
        label: its name in Ray's lists.
        avoided_nodes: Ray's ids of the nodes that take no trials.
        joined: whether the cluster is another's, whose processes know nothing of this one's environment.
    """
    wanted = ray_resources(resources)
    options: dict[str, Any] = {
        "num_cpus": wanted.pop("CPU"),
        "num_gpus": wanted.pop("GPU"),
        "memory": wanted.pop("memory", None),
        "resources": wanted or None,
        "max_retries": 0,
        "name": label,
        "runtime_env": {"env_vars": worker_environment(resources)} if joined else None,
    }
    if avoided_nodes:
        options["label_selector"] = {"ray.io/node-id": f"!in({','.join(sorted(avoided_nodes))})"}
    return options
