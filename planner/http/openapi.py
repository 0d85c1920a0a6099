"""What the OpenAPI document says of answers and problems: schemas that may grow, and examples."""

from __future__ import annotations

from typing import Any

from planner.http.problems import MEDIA_TYPE, TITLES

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
        "answer": {"type": "object"},
    },
}


def _problem(status: int) -> dict[str, Any]:
    example = {"type": "urn:soundscale:problem:…", "title": TITLES.get(status, ""), "status": status,
               "detail": "what was asked, what stands in the way, what to do"}  # fmt: skip
    content = {MEDIA_TYPE: {"schema": _PROBLEM_SCHEMA, "example": example}}
    return {"description": TITLES.get(status, "a problem"), "content": content}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    **{n: _problem(n) for n in (400, 401, 403, 413, 415, 421, 422, 424, 429, 503)},
    409: {
        "description": "Nothing meets the limits (`answer` has the nearest), or no usable fit",
        "content": {MEDIA_TYPE: {"schema": _PROBLEM_SCHEMA}},
    },
}

_PREDICTION = {
    "error": 0.1031, "low": 0.1013, "high": 0.1051, "level": 0.9, "kind": "measured",
    "distance": 0.0, "measured_error": 0.1038, "run_ids": [27],
}  # fmt: skip
_CONFIG = {
    "backbone": "whisper-base", "audio_seconds": 5.0, "reduction": "none",
    "tokens_per_second": 50.0, "adaptation": "lora:8", "padding": "dynamic",
}  # fmt: skip
_OPTION = {
    "config": _CONFIG,
    "label": "whisper-base · 5 s window · 50 tokens/s · lora:8",
    "prediction": _PREDICTION,
    "costs": {"flops": {"value": 1.34e10, "limit": 2e10, "probability": 1.0, "unit": "FLOPs"}},
    "joint_probability": 1.0,
    "p_best": 0.66,
}
_EXAMPLES: dict[str, Any] = {
    "/v1/plan": {
        "answer_id": "7b030ae8ee9d",
        "query": {"task": "asr", "flops": 2e10, "limits": {"flops": 2e10}},
        "fit_id": "aa80ff9e9a95",
        "n_runs": 18,
        "best": _OPTION,
        "runners_up": [],
        "reasons": ["lowest expected error of the 13 of 18 configurations that meet …"],
        "warnings": [],
    },
    "/v1/plan/target": {"query": {"task": "asr", "error": 0.12}, "fit_id": "aa80ff9e9a95",
                        "best": _OPTION, "runners_up": [], "reasons": [], "warnings": []},
    "/v1/frontier": {"fit_id": "aa80ff9e9a95", "cost": "flops", "warnings": [], "query": {},
                     "points": [{**_CONFIG, "flops": 1.34e10, "error": 0.1031, "low": 0.1013,
                                 "high": 0.1051, "kind": "measured", "run_ids": [27]}]},
    "/v1/whatif": {**_OPTION, "fit_id": "aa80ff9e9a95", "query": {}, "warnings": []},
    "/v1/suggest": {"fit_id": "aa80ff9e9a95", "suggestions": [], "verdict": "…", "query": {}},
    "/v1/candidates": {"fit_id": "aa80ff9e9a95", "items": [], "frontiers": {"flops": []}},
    "/v1/curves": {"config": _CONFIG, "axes": [], "iso_flops": {"budgets": [], "points": []}},
}  # fmt: skip


def answered(path: str) -> dict[str, Any]:
    """A 200 of a question: an object with at least the keys of its example."""
    example = _EXAMPLES[path]
    schema = {"type": "object", "required": sorted(example)}
    return {
        "description": "The answer; keys may be added, never renamed",
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def listed(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """A 200 of a list: `items`, and `next` where there are more."""
    schema = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": {"type": "object"}},
            "next": {"type": ["string", "null"]},
        },
    }
    content = {
        "application/json": {"schema": schema, "example": {"items": [example], "next": None}}
    }
    return {200: {"description": "A page of the list", "content": content}}


def shown(required: list[str]) -> dict[int | str, dict[str, Any]]:
    """A 200 of one thing, and a 404."""
    schema = {"type": "object", "required": required}
    content = {"application/json": {"schema": schema}}
    return {200: {"description": "It", "content": content}, 404: _problem(404)}
