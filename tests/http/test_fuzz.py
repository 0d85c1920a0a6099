"""Some five hundred wild requests over the whole schema, the same ones each time.

Ten thousand, over sockets: `python tests/benchmarks/fuzz.py`.
"""

import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.benchmarks.fuzz import rows
from tests.http.conftest import BASE, client_of

EACH = {GenerationMode.POSITIVE: 11, GenerationMode.NEGATIVE: 11}
"""Cases of each operation."""


def fuzz(client, operation, mode, seen):
    """Send the cases of one operation; what was asked and answered goes to `seen`."""

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EACH[mode], derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def one(case):
        asked = case.as_transport_kwargs(base_url=BASE)
        asked.pop("cookies", None)
        # The client itself sends no longer ones; a character may become twelve.
        assume(len(str(asked.get("params", ""))) < 5_000)
        if isinstance(asked.get("data"), (bytes, str)):
            asked["content"] = asked.pop("data")
        answer = client.request(**asked)
        seen.append((operation.label, answer.status_code, answer.headers.get("content-type")))
        assert answer.status_code < 500, (case.as_curl_command(), answer.text[:500])

    try:
        one()
    except Unsatisfiable:
        # An operation without parameters has nothing that could be wrong.
        assert mode is GenerationMode.NEGATIVE


def test_wild_requests_meet_no_bug_and_change_no_row(own_bench):
    before, seen = rows(own_bench), []
    with client_of(own_bench) as client:
        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        for found in schema.get_all_operations():
            for mode in EACH:
                fuzz(client, found.ok(), mode, seen)
    statuses = {status for _, status, _ in seen}
    assert len(seen) >= 500
    assert {200, 422} <= statuses
    assert {kind for _, status, kind in seen if status >= 400} == {"application/problem+json"}
    assert rows(own_bench) == before
