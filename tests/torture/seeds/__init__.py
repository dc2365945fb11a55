"""What the harness has found, one file each: the case as it can be struck again, and what it was (`found`)."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.torture.cases import Case
from tests.torture.flips import flip
from tests.torture.kills import kill
from tests.torture.manners import MANNERS
from tests.torture.races import RACES, race, without_postgres
from tests.torture.states import Stage

SEEDS = Path(__file__).parent


def kept_seeds(scenario: str) -> Iterator[dict[str, Any]]:
    """The seeds of this scenario that can be struck on this machine."""
    for file in sorted(SEEDS.glob("*.json")):
        kept: dict[str, Any] = json.loads(file.read_text()) | {"name": file.stem}
        if kept["scenario"] == scenario and not _lacks(kept):
            yield kept


def strike_again(stage: Stage, kept: dict[str, Any]) -> Case:
    """The case of a seed."""
    name = f"kept {kept['name']}"
    if kept["scenario"] == "kill":
        return kill(stage, kept["act"], [(manner, at) for manner, at in kept["strikes"]], name)
    if kept["scenario"] == "flip":
        return flip(stage, kept["layer"], kept["seed"])
    return race(stage, RACES[kept["race"]], kept["seed"])


def keep(case: Case) -> Path | None:
    """Write a case with a fault as a seed; where it is, or None for what can't be struck again."""
    if not case.again:
        return None
    told = case.again | {"found": "; ".join(case.faults)[:400]}
    digest = hashlib.sha256(json.dumps(case.again, sort_keys=True).encode()).hexdigest()[:8]
    file = SEEDS / f"{case.scenario}-{digest}.json"
    file.write_text(json.dumps(told, indent=2) + "\n")
    return file


def _lacks(kept: dict[str, Any]) -> bool:
    if kept["scenario"] == "kill":
        return any(MANNERS[manner].lacks() for manner, _ in kept["strikes"])
    return kept["scenario"] == "race" and RACES[kept["race"]].postgres and bool(without_postgres())
