"""Tags of runs: which days a run is for, and which plants and answers it asks for."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import dagster as dg

from pipeline.common.errors import UsageError
from pipeline.run.allowance import MAX_EUR, Allowance, parse_limit
from pipeline.run.shards import Shard, parse_shard

# Dagster's own: the days of a run.
RANGE_START: Final = "dagster/asset_partition_range_start"
RANGE_END: Final = "dagster/asset_partition_range_end"
# Dagster's own: the run that this one tries again.
PARENT: Final = "dagster/parent_run_id"
# Dagster's own: how often the daemon has tried a run again by itself.
RETRY: Final = "dagster/retry_number"
# Dagster's own: `true` where the daemon will try the failed run again by itself.
WILL_RETRY: Final = "dagster/will_retry"
# Dagster's own: the run by which it has tried a failed run again by itself.
RETRIED_BY: Final = "dagster/auto_retry_run_id"
# Dagster's own: the backfill that a run belongs to.
BACKFILL: Final = "dagster/backfill"
# Dagster's own: the schedule that started a run, and its tick.
SCHEDULE: Final = "dagster/schedule_name"
TICK: Final = "dagster/tick"
# The states of a run that is not over.
UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Comma-separated backends, ids of plants, or groups of plants, to ask for; without the tag all.
BACKENDS: Final = "sunledger/backends"
PLANTS: Final = "sunledger/plants"
GROUPS: Final = "sunledger/groups"
# What a command of the command line was started for: its measurement sets, and its days as FIRST...LAST.
SETS: Final = "sunledger/sets"
DAYS: Final = "sunledger/days"
# `all`: ask also for what is stored and final. Without it a run asks for what is missing.
ASK: Final = "sunledger/ask"
ALL: Final = "all"
# The turn of plants whose current day a run reads, as WHO:FIRST...LAST with two ids; without the tag all.
TURN: Final = "sunledger/turn"
# The shard of the fleet whose answers a run fetches, as NUMBER/COUNT; without the tag all.
SHARD: Final = "sunledger/shard"
# The moment for which a schedule found the days of a run due.
DUE_AT: Final = "sunledger/due_at"


# What of a run holds for another one in its place too: which plants and answers it asks for.
SCOPE: Final = frozenset({BACKENDS, PLANTS, GROUPS, TURN, SHARD})


def read_limits(tags: Mapping[str, str]) -> dict[str, Any]:
    """What the tags of a run mean to its runtime."""
    return {
        "only_plants": _split_words(tags.get(PLANTS, "")),
        "only_groups": _split_words(tags.get(GROUPS, "")),
        "only_backends": _split_words(tags.get(BACKENDS, "")),
        "turn": tags.get(TURN, ""),
        "shard": parse_shard(f"The run's tag {SHARD}:", tags[SHARD]) if SHARD in tags else None,
        # A run that tries another one again carries its tags, and asks for what that one missed.
        "again": tags.get(ASK) == ALL and PARENT not in tags,
        # What the first try was allowed is on the bill already; its amount is not there a second time.
        "allowance": Allowance(
            _read_amount(tags[MAX_EUR]) if MAX_EUR in tags and RETRY not in tags else None
        ),
    }


def _read_amount(text: str) -> Decimal:
    try:
        return parse_limit(text)
    except ValueError:
        raise UsageError(
            f"The run's tag {MAX_EUR}: {text} is not an amount: write it as 120 or 120.50."
        ) from None


def build_command_tags(
    *,
    plants: Iterable[str],
    groups: Iterable[str],
    sets: str,
    again: bool,
    days: tuple[dt.date, dt.date] | None,
    shard: Shard | None,
) -> dict[str, str]:
    """The tags of a command's runs: what they were started for. What was not limited has no tag."""
    named, grouped = ",".join(sorted(plants)), ",".join(sorted(groups))
    return {
        **({PLANTS: named} if named else {}),
        **({GROUPS: grouped} if grouped else {}),
        **({SETS: sets} if days else {}),
        **({DAYS: f"{days[0]}...{days[1]}"} if days else {}),
        **({ASK: ALL} if again else {}),
        **({SHARD: str(shard)} if shard else {}),
    }


def _split_words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())
