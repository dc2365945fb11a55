"""The names of all faults, what each does, and where it acts."""

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Where a fault acts: instead of the answer, on its rows or body, or on the way to the caller."""

    BEFORE = "before the service answers"
    INSTEAD = "in place of the answer"
    ROWS = "on the rows of a measurement answer"
    BODY = "on the body"
    WIRE = "on the wire"


@dataclass(frozen=True, slots=True)
class Kind:
    """One fault. `amount` is what the setting of the same name means, with its default.

    `of_plants`: it happens to the plants of its aim, whichever plant the request that brings it about asks for.
    """

    name: str
    stage: Stage
    what: str
    amount: float = 0.0
    amount_unit: str = ""
    of_plants: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        Kind("expired_token", Stage.BEFORE, "every access token becomes invalid, so the call answers 401"),
        Kind("revoked_consent", Stage.BEFORE, "the owners of the plants (or all) revoke", of_plants=True),
        Kind("narrowed_consent", Stage.BEFORE, "owners take the plants out of a consent", of_plants=True),
        Kind("lost_owner", Stage.BEFORE, "the plants lose their owner", of_plants=True),
        Kind("migration", Stage.BEFORE, "the plants, if on Classic, move to ennexOS", of_plants=True),
        Kind(
            "status_404",
            Stage.INSTEAD,
            "404 for something that exists (for instance a consent that was just requested)",
        ),
        Kind("status_408", Stage.INSTEAD, "408 Request Timeout"),
        Kind("status_429", Stage.INSTEAD, "429 outside of the budget"),
        Kind("status_500", Stage.INSTEAD, "500 Internal Server Error"),
        Kind("status_502", Stage.INSTEAD, "502 with an HTML body"),
        Kind("status_503", Stage.INSTEAD, "503 Service Unavailable"),
        Kind("status_504", Stage.INSTEAD, "504 with an HTML body"),
        Kind("missing_rows", Stage.ROWS, "rows are missing in the middle", 12, "rows"),
        Kind(
            "uneven_steps",
            Stage.ROWS,
            "pairs of rows are merged into one row over both intervals, without a loss of energy",
            13,
            "pairs",
        ),
        Kind(
            "drift",
            Stage.ROWS,
            "all energy and power is higher than in other answers (for instance, limit it to /Month)",
            0.25,
            "%",
        ),
        Kind("spike", Stage.ROWS, "the first row with power carries lost energy as well", 165_763, "Wh"),
        Kind("negative", Stage.ROWS, "one row is negative", 5_000, "W"),
        Kind("duplicate_rows", Stage.ROWS, "some rows are duplicated", 3, "rows"),
        Kind("unsorted_rows", Stage.ROWS, "the rows are shuffled"),
        Kind("future_rows", Stage.ROWS, "rows after the newest one, a year ahead", 2, "rows"),
        Kind("empty_list", Stage.ROWS, "the answer has no rows"),
        Kind("huge_answer", Stage.ROWS, "the rows are repeated until the answer is huge", 64, "MB"),
        Kind("changed_answer", Stage.ROWS, "the first answer has less than every later one", 3, "%"),
        Kind("string_for_number", Stage.ROWS, "a number is a string"),
        Kind("number_for_string", Stage.ROWS, "a time is a number"),
        Kind("null_values", Stage.ROWS, "a value is null in place of being left out"),
        Kind("unknown_fields", Stage.ROWS, "unknown fields are added"),
        Kind("first_rows_only", Stage.ROWS, "a long answer ends after so many rows", 1_000, "rows"),
        Kind("last_rows_only", Stage.ROWS, "of a long answer only the last rows are sent", 1_000, "rows"),
        Kind("hostile_names", Stage.BODY, "plants and devices have names that break careless clients"),
        Kind("half_characters", Stage.BODY, "every name begins with half of a surrogate pair"),
        Kind(
            "not_finite", Stage.BODY, "the first number with a decimal point is NaN, which is not valid JSON"
        ),
        Kind("missing_envelope", Stage.BODY, "the list alone, without the object around it"),
        Kind("invalid_json", Stage.BODY, "the JSON is invalid"),
        Kind("html_body", Stage.BODY, "200 with an HTML page"),
        Kind("slow_first_byte", Stage.WIRE, "the first byte is delayed", 5, "s"),
        Kind("slow_body", Stage.WIRE, "the body arrives slowly", 5, "s"),
        Kind("stall", Stage.WIRE, "the body stops after its first half", 600, "s"),
        Kind("truncated_body", Stage.WIRE, "the connection closes after half of the body"),
        Kind("reset", Stage.WIRE, "the connection is reset before the answer"),
    )
}
