"""Faults in the rows and the body of an answer. Each takes the parsed answer and changes a few rows of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sandbox.faults.fault_plan import Fault
from sandbox.fleet.simulated_fleet import HOSTILE_NAMES
from sandbox.series import set_names

Rows = list[dict[str, Any]]
Answer = dict[str, Any]

_NO_POWER = ("Rate", "StateOf", "Temperature", "oltage", "Frequency", "Factor", "Resistance")
_YEAR_AHEAD = 1


def spoil(
    answer: Answer, fault: Fault, rng: np.random.Generator, *, first_read: bool, energy: bool
) -> Answer:
    """The answer with the fault in its rows; an answer without a list of rows stays as it is.

    `first_read`: nobody asked this before. `energy`: the rows hold Wh in place of W.
    """
    rows = answer.get("set")
    if not isinstance(rows, list):
        return answer
    if fault.kind.name == "changed_answer":
        changed = _lower_values(rows, fault.amount) if first_read else rows
    elif fault.kind.name == "spike":
        a_row_h = 1.0 if energy else set_names.parse_resolution(answer.get("resolution")) / 3600
        changed = _lift_first_power(rows, fault.amount / a_row_h)
    elif fault.kind.name == "uneven_steps":
        changed = _merge_neighbours(rows, int(fault.amount), rng, energy=energy)
    elif fault.kind.name == "unknown_fields":
        answer = {**answer, "x-release": {"candidate": True}, "links": []}
        changed = [{**row, "newQuantity": 1.5, "quality": {"flag": "estimated"}} for row in rows[:1]] + rows[
            1:
        ]
    else:
        changed = _FAULTS[fault.kind.name](rows, fault.amount, rng)
    return {**answer, "set": changed}


def spoil_lists(answer: Answer, fault: Fault) -> Answer:
    """An answer of another kind (plants, devices, sets, logs) with its lists empty, doubled or with unknown fields."""
    changes: dict[str, Callable[[list[Any]], list[Any]]] = {
        "empty_list": lambda _: [],
        "duplicate_rows": lambda items: items + items,
        "unknown_fields": lambda items: [
            {**item, "newQuantity": 1.5} if isinstance(item, dict) else item for item in items
        ],
    }
    change = changes.get(fault.kind.name)
    if change is None:
        return answer
    return {key: change(value) if isinstance(value, list) else value for key, value in answer.items()}


def make_names_hostile(content: object, rng: np.random.Generator) -> object:
    """The same with every name replaced by one that breaks pages, paths, SQL or spreadsheets of a careless client."""
    if isinstance(content, list):
        return [make_names_hostile(item, rng) for item in content]
    if not isinstance(content, dict):
        return content
    changed = {key: make_names_hostile(value, rng) for key, value in content.items()}
    if isinstance(changed.get("name"), str):
        changed["name"] = HOSTILE_NAMES[int(rng.integers(len(HOSTILE_NAMES)))]
    return changed


def _lower_values(rows: Rows, percent: float) -> Rows:
    """All energy and power lower by some percent: what a portal shows before late data has arrived."""
    factor = 1 - percent / 100
    return [
        _change_values(row, lambda key, value: round(value * factor, 3) if _is_power(key, value) else value)
        for row in rows
    ]


def _merge_neighbours(rows: Rows, pairs: int, rng: np.random.Generator, *, energy: bool) -> Rows:
    """Some neighbours become one row at the later one's time: the mean of their power, or the sum of their energy."""
    starts = rng.permutation(np.arange(0, len(rows) - 1, 2))[:pairs].tolist()
    part = 1.0 if energy else 0.5
    result = dict(enumerate(rows))
    for start in starts:
        early = result.pop(start)
        result[start + 1] = {
            key: _merge_values(key, early.get(key), value, part) for key, value in rows[start + 1].items()
        }
    return list(result.values())


def _merge_values(key: str, early: Any, late: Any, part: float) -> Any:
    """A value of two rows; of an array each element by itself."""
    if isinstance(late, list):
        before = {each["index"]: each["value"] for each in early or []}
        return [
            {**each, "value": _merge_values(key, before.get(each["index"]), each["value"], part)}
            for each in late
        ]
    return round(part * ((early or 0.0) + late), 6) if _is_power(key, late) else late


def _raise_values(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - every fault is called alike
    return _lower_values(rows, -amount)


def _drop_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:
    count = min(int(amount), len(rows))
    start = int(rng.integers(0, len(rows) - count + 1))
    return rows[:start] + rows[start + count :]


def _lift_first_power(rows: Rows, lift: float) -> Rows:
    """Lost energy lands in the first row with power, which so gets `lift` more."""
    at = next(
        (i for i, row in enumerate(rows) if any(_is_power(k, v) and v > 0 for k, v in row.items())), None
    )
    if at is None:
        return rows
    lifted = {
        key: round(value + lift, 3) if key in ("pvGeneration", "totalGeneration") else value
        for key, value in rows[at].items()
    }
    return [*rows[:at], lifted, *rows[at + 1 :]]


def _put_negative(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:
    return _change_row(rows, rng, lambda key, value: -abs(amount) if _is_power(key, value) else value)


def _keep_first_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return rows[: int(amount)]


def _keep_last_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return rows[max(0, len(rows) - int(amount)) :]


def _repeat_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:
    picked = np.sort(rng.integers(0, len(rows), min(int(amount), len(rows)))).tolist() if rows else []
    for position in reversed(picked):
        rows = [*rows[: position + 1], rows[position], *rows[position + 1 :]]
    return rows


def _shuffle_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return [rows[position] for position in rng.permutation(len(rows)).tolist()]


def _add_future_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    """Copies of the last rows with the year after theirs."""
    tail = rows[-int(amount) :] if amount >= 1 else []
    return rows + [{**row, "time": _add_year(row["time"])} for row in tail]


def _add_year(label: str) -> str:
    """The label of the year after; the day after that of 29 February, which is in no such year."""
    return f"{int(label[:4]) + _YEAR_AHEAD:04d}{label[4:]}".replace("-02-29", "-03-01")


def _drop_all_rows(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return []


def _put_string(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return _change_row(rows, rng, lambda _, value: str(value) if isinstance(value, float) else value)


def _put_number(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return _change_row(rows, rng, lambda key, value: 1633046400 if key == "time" else value)


def _put_nulls(rows: Rows, amount: float, rng: np.random.Generator) -> Rows:  # noqa: ARG001 - as above
    return _change_row(rows, rng, lambda key, value: value if key == "time" else None)


def _change_row(rows: Rows, rng: np.random.Generator, change: Callable[[str, Any], Any]) -> Rows:
    """One row, drawn at random, with every value changed."""
    if not rows:
        return rows
    at = int(rng.integers(0, len(rows)))
    return [*rows[:at], _change_values(rows[at], change), *rows[at + 1 :]]


def _change_values(row: dict[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """A row with every value changed; of an array each element."""
    return {
        key: [{**each, "value": change(key, each["value"])} for each in value]
        if isinstance(value, list)
        else change(key, value)
        for key, value in row.items()
    }


def _is_power(key: str, value: object) -> bool:
    return isinstance(value, float) and not any(part in key for part in _NO_POWER)


_FAULTS: dict[str, Callable[[Rows, float, np.random.Generator], Rows]] = {
    "missing_rows": _drop_rows,
    "first_rows_only": _keep_first_rows,
    "last_rows_only": _keep_last_rows,
    "drift": _raise_values,
    "negative": _put_negative,
    "duplicate_rows": _repeat_rows,
    "unsorted_rows": _shuffle_rows,
    "future_rows": _add_future_rows,
    "empty_list": _drop_all_rows,
    "string_for_number": _put_string,
    "number_for_string": _put_number,
    "null_values": _put_nulls,
}
