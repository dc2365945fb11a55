"""Some questions drawn by schemathesis from the description: no answer may be a 500 or differ from what is described.

The full run is in docs/sandbox.md; it asks a hundred questions an operation in place of a few.
"""

from datetime import UTC, datetime

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.sandbox.conftest import Serve

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
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
    asked = set()
    for found in schema.exclude(
        path_regex="^/_control", method=["POST", "PUT", "DELETE"]
    ).get_all_operations():
        operation = found.ok()

        @FEW
        @given(operation.as_strategy())
        def answers(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        answers()
        asked.add(operation.label)
    assert len(asked) >= 25
