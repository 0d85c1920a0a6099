"""The files that bring a cluster up fit their schemas, and their commands are commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from planner.cli.main import cli
from runner.cli import register

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "cluster"
SCHEMAS = ROOT / "tests" / "fixtures" / "schemas"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
OBJECTS = list(yaml.safe_load_all((FOLDER / "kuberay.yaml").read_text()))
KUBERNETES = json.loads((SCHEMAS / "kubernetes.json").read_text())

POD = {"$ref": "#/definitions/" + KUBERNETES["kinds"]["PodTemplateSpec"]}
START = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
# The fields that are used here of KubeRay's definition rayclusters.ray.io, version v1, which no package of a registry
# holds: read in helm-chart/kuberay-operator/crds/ray.io_rayclusters.yaml of its repository at 017710c. Types and what
# is required are its own; `rayStartParams` it requires before 1.4 alone. Templates of pods there are Kubernetes' own.
RAY_CLUSTER = {
    "type": "object",
    "required": ["headGroupSpec"],
    "additionalProperties": False,
    "properties": {
        "rayVersion": {"type": "string"},
        "headGroupSpec": {
            "type": "object",
            "required": ["rayStartParams", "template"],
            "additionalProperties": False,
            "properties": {
                "serviceType": {"type": "string"},
                "rayStartParams": START,
                "template": POD,
            },
        },
        "workerGroupSpecs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": [
                    "groupName",
                    "minReplicas",
                    "maxReplicas",
                    "rayStartParams",
                    "template",
                ],
                "additionalProperties": False,
                "properties": {
                    "groupName": {"type": "string"},
                    "replicas": COUNT,
                    "minReplicas": COUNT,
                    "maxReplicas": COUNT,
                    "rayStartParams": START,
                    "template": POD,
                },
            },
        },
    },
}


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    whole = schema | {"definitions": KUBERNETES["definitions"]}
    found = jsonschema.Draft7Validator(whole).iter_errors(value)
    return [f"{'/'.join(map(str, one.path))}: {one.message[:200]}" for one in found]


def test_the_compose_file_fits_the_specification():
    schema = json.loads((SCHEMAS / "compose_spec.json").read_text())
    # Two keys are younger than the schema's copy.
    shown = {k: v for k, v in COMPOSE.items() if k != "name"}
    found = jsonschema.Draft7Validator(schema | {"$schema": ""}).iter_errors(shown)
    assert [one.message[:200] for one in found] == []


@pytest.mark.parametrize("made", OBJECTS, ids=lambda o: f"{o['kind']}-{o['metadata']['name']}")
def test_each_object_fits_the_schema_of_its_kind(made):
    if made["kind"] == "RayCluster":
        assert made["apiVersion"] == "ray.io/v1"
        assert faults(made["spec"], RAY_CLUSTER) == []
    else:
        kind = {"$ref": "#/definitions/" + KUBERNETES["kinds"][made["kind"]]}
        assert faults(made, kind) == []


def test_a_key_that_kubernetes_does_not_know_is_found():
    job = next(o for o in OBJECTS if o["kind"] == "Job")
    broken = json.loads(json.dumps(job))
    broken["spec"]["template"]["spec"]["containers"][0]["arg"] = []
    assert faults(broken, {"$ref": "#/definitions/" + KUBERNETES["kinds"]["Job"]})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("worker",), []),
        (("headGroupSpec", "replicas"), 1),
        (("headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("workerGroupSpecs", 0, "minReplicas"), "0"),
        (("workerGroupSpecs", 0, "template", "spec", "containers", 0, "arg"), []),
        (("workerGroupSpecs", 0, "groupName"), None),
    ],
    ids=str,
)
def test_a_cluster_that_kuberay_would_refuse_is_found(path, value):
    spec = json.loads(json.dumps(next(o for o in OBJECTS if o["kind"] == "RayCluster")["spec"]))
    place = spec
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert faults(spec, RAY_CLUSTER)


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """Every container of every object."""
    if isinstance(value, dict):
        yield from (c for c in value.get("containers", []) if isinstance(c, dict))
        for inner in value.values():
            yield from containers(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from containers(inner)


def commands() -> list[list[str]]:
    """What each file tells `soundscale` to do: arguments of containers, lines of shell and of comments."""
    found = [
        s["command"]
        for s in COMPOSE["services"].values()
        if "entrypoint" not in s and "command" in s
    ]
    found += [c["args"] for c in containers(OBJECTS) if c.get("args")]
    for path in (FOLDER / "compose.yaml", FOLDER / "kuberay.yaml"):
        text = path.read_text()
        found += [
            m.split()
            for m in re.findall(
                r"(?m)(?:run --rm driver|soundscale) ((?:sweep|tokens|serve) [^\\#\n]+)", text
            )
        ]
    return found


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_each_command_is_one_with_options_that_it_knows(arguments):
    register(cli)
    arguments = [a.strip('"') for a in arguments]
    command: click.Command = cli
    parent = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=parent, resilient_parsing=True)
        name, arguments = arguments[0], arguments[1:]
        found = command.get_command(context, name)
        assert found is not None, name
        command, parent = found, context
    command.make_context(command.name, list(arguments))


def test_every_secret_is_asked_for_and_none_is_written_down():
    assert {"RAY_AUTH_TOKEN", "POSTGRES_PASSWORD"} == set(
        re.findall(r"\$\{(\w+):\?", (FOLDER / "compose.yaml").read_text())
    )
    assert not any(o["kind"] == "Secret" for o in OBJECTS)


def test_what_must_finish_its_step_is_given_the_time_for_it():
    from runner.campaign.notice import GRACE_SECONDS

    assert COMPOSE["services"]["worker"]["stop_grace_period"] == "30s"
    assert GRACE_SECONDS < 30
    (group,) = next(o for o in OBJECTS if o["kind"] == "RayCluster")["spec"]["workerGroupSpecs"]
    spec = group["template"]["spec"]
    assert "sweep drain" in spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2]
    assert spec["terminationGracePeriodSeconds"] >= 60 + GRACE_SECONDS


def test_every_long_running_part_is_asked_whether_it_is_well():
    parts = COMPOSE["services"]
    assert all("healthcheck" in parts[name] for name in ("postgres", "head", "service"))
    probed = [c["name"] for c in containers(OBJECTS) if "readinessProbe" in c]
    assert set(probed) == {"postgres", "ray-head", "service"}
