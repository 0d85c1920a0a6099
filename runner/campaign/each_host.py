"""The same work on each host of a running cluster, one host after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from runner.campaign.executors import RayExecutor
from runner.campaign.outages import outages

T = TypeVar("T")


def on_each_host(address: str, work: Callable[..., T], *arguments: Any) -> list[T]:
    """What `work` returns on each host, pinned to one of its nodes; no two at the same time.

    Raises:
        MissingResourceError, InputError, OutageError: as `runner.campaign.executors.RayExecutor`.
    """
    executor = RayExecutor(address)
    try:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = {node["NodeManagerHostname"]: node["NodeID"] for node in executor.alive_nodes()}
        task, found = ray.remote(work), []
        for _, node_id in sorted(nodes.items()):
            there = NodeAffinitySchedulingStrategy(node_id, soft=False)
            # No CPU is asked for: the host's lease in SQL keeps it free, and trials hold none then.
            pinned = task.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            with outages(ray):
                found.append(ray.get(pinned.remote(*arguments)))
        return found
    finally:
        executor.close()
