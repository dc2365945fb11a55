"""docs/quality.md says what the code does: each reason once, each threshold with its default."""

import re
from dataclasses import fields
from pathlib import Path

from pipeline.run import step
from pipeline.transform import anomalies, row_rules
from pipeline.transform.thresholds import Thresholds, load_thresholds

DOC = Path("docs/quality.md").read_text()
# Reasons that are written down where they are found, not as constants.
ELSEWHERE = {"unknown_timezone", "not_utf8", "not_json", "wrong_shape", "too_large"}
NO_REASON = {row_rules.NEIGHBOUR, row_rules.PV, anomalies.PV}


def reasons() -> set[str]:
    names = {
        value
        for module in (row_rules, anomalies, step)
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and re.fullmatch(r"[a-z0-9_]+", value)
    }
    return names - NO_REASON | ELSEWHERE


def test_every_reason_is_explained_once_and_no_other() -> None:
    scopes = ("answer", "row", "value", "rows", "day", "element")
    told = [
        reason
        for line in DOC.splitlines()
        if (row := [cell.strip() for cell in line.split("|")[1:-1]])
        and set(row[0].split(", ")) <= set(scopes)
        for reason in re.findall(r"`([^`]+)`", row[1])
    ]
    assert sorted(told) == sorted(reasons())


def test_every_threshold_is_listed_with_its_default() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| ([0-9.]+) \|", DOC, re.MULTILINE))
    shipped = load_thresholds()
    assert {name: float(value) for name, value in listed.items()} == {
        field.name: getattr(shipped, field.name) for field in fields(Thresholds)
    }


def test_every_threshold_has_its_reason_in_the_file() -> None:
    lines = Path("pipeline/transform/quality.toml").read_text().splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith("#"):
            assert lines[number - 1].startswith("#"), f"{line} has no reason above it"
