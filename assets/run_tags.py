"""Tags of runs: which days a run is for, and which plants and answers it asks for."""

from collections.abc import Mapping
from typing import Any, Final

# Dagster's own: the days of a run.
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
# Dagster's own: the run that this one tries again.
PARENT: Final = "dagster/parent_run_id"
# Comma-separated backends, or ids of plants, to ask for; without the tag all.
BACKENDS: Final = "sunledger/backends"
PLANTS: Final = "sunledger/plants"
# `all`: ask also for what is stored and final. Without it a run asks for what is missing.
ASK: Final = "sunledger/ask"
ALL: Final = "all"
# The moment for which a schedule found the days of a run due.
DUE_AT: Final = "sunledger/due_at"


def limits(tags: Mapping[str, str]) -> dict[str, Any]:
    """What the tags of a run mean to its runtime."""
    return {
        "only_plants": _words(tags.get(PLANTS, "")),
        "only_backends": _words(tags.get(BACKENDS, "")),
        # A run that tries another one again carries its tags, and asks for what that one missed.
        "again": tags.get(ASK) == ALL and PARENT not in tags,
    }


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())
