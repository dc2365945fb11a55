"""Some questions drawn by schemathesis from the description: no answer may be a 500 or differ from what is described.

The full run is in docs/sandbox.md; it asks a hundred questions an operation in place of a few.
"""

from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.later import LaterModule
from tests.sandbox.served_sandbox import Serve

schemathesis = LaterModule("schemathesis")
checks = LaterModule("schemathesis.checks")
openapi_checks = LaterModule("schemathesis.specs.openapi.checks")

FEW = settings(
    max_examples=4,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_a_few_questions_of_every_kind(serve: Serve) -> None:
    it = serve(now=datetime(2016, 6, 15, tzinfo=UTC), plants=3)  # a Total simulates all years so far
    headers = {"Authorization": it.http.headers["Authorization"]}
    schema = schemathesis.openapi.from_dict(it.get("/openapi.json"))
    schema.config.update(base_url=it.url)
    judges = [
        checks.not_a_server_error,
        openapi_checks.status_code_conformance,
        openapi_checks.content_type_conformance,
        openapi_checks.response_schema_conformance,
    ]
    asked = set()
    for found in schema.exclude(
        path_regex="^/_control", method=["POST", "PUT", "DELETE"]
    ).get_all_operations():
        operation = found.ok()

        @FEW
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=judges)

        answers()
        asked.add(operation.label)
    assert len(asked) >= 25
