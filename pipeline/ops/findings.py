"""What a person should look at: pure judgements of frames and figures, each with a sentence that says what to do."""

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from pipeline.common.day_availability import DELAY
from pipeline.common.finding import Finding
from pipeline.common.text import join_first, pluralize

# A plant without a meter sends no row from sunset to sunrise: 17 hours in a northern winter, and an hour until the tick
# that reads its first one. Classic plants are read once a day, when the day of the last zone is closed.
FRESH = {"ennexos": dt.timedelta(hours=18), "classic": dt.timedelta(hours=18 + 24) + DELAY["classic"]}
# Days that stay behind for so long are no longer a matter of the next tick.
LATE = dt.timedelta(days=2)
# Values are set aside now and then on every plant; more than one row in a hundred is a plant to look at.
FLAGGED_SHARE = 0.01
# A refusal now and then means that somebody else spends too; more than one in a hundred costs time.
REFUSED_SHARE = 0.01
TOO_MANY_REQUESTS = 429
# A person reads the first ones; all are in the tables.
SHOWN = 10


def judge_day(day: dt.date, daily: pl.DataFrame) -> Finding:
    """Whether every plant of the day's rows of energy_daily is complete, or may still become so."""
    counts = {status: daily.filter(pl.col("status") == status).height for status in _OPEN}
    facts: dict[str, Any] = {"day": str(day), "plants": daily.height, **counts}
    if not daily.height:
        return Finding(
            passed=False,
            text=f"{day} has no plant at all: materialize raw_energy_balance of this day, or find out why its run "
            "failed.",
            facts=facts,
        )
    if not counts["missing"] and not counts["partial"]:
        return Finding(
            passed=True, text=f"{day}: {pluralize(daily.height, 'plant')}, none with a gap.", facts=facts
        )
    worst = daily.filter(pl.col("status").is_in(["missing", "partial"])).sort("coverage", "plant_id")
    return Finding(
        passed=False,
        text=f"{day}: of {pluralize(daily.height, 'plant')}, {counts['missing']} without data and {counts['partial']} "
        f"with gaps ({join_first(worst['plant_id'].to_list(), SHOWN)}). Look at v_days_to_check. "
        "Fetching the days again closes a data gap unless SMA lacks the data too.",
        facts=facts,
    )


def judge_closed_days(lacking: pl.DataFrame, first: dt.date, last: dt.date) -> Finding:
    """Whether all closed days from first to last were fetched; `lacking` has plant_id, local_date and reason."""
    again = lacking.filter(pl.col("reason") != "silent")
    silent = lacking.height - again.height
    facts: dict[str, Any] = {
        "first_day": str(first),
        "last_day": str(last),
        "plant_days": again.height,
        "silent_plant_days": silent,
    }
    if not again.height:
        text = f"Every plant-day from {first} to {last} was fetched after it had ended."
        if silent:
            text += (
                f" SMA has no rows for {pluralize(silent, 'plant-day')} of these: look at v_days_to_check."
            )
        return Finding(passed=True, text=text, facts=facts)
    oldest = again["local_date"].min()
    assert isinstance(oldest, dt.date)  # noqa: S101 - a frame with rows has one
    days, plants = again["local_date"].n_unique(), again["plant_id"].n_unique()
    return Finding(
        passed=False,
        severe=oldest <= last - LATE,
        text=f"{pluralize(again.height, 'plant-day')} {'is' if again.height == 1 else 'are'} missing "
        f"({pluralize(days, 'day')}, {pluralize(plants, 'plant')}, the oldest {oldest}). The schedule "
        f"'closing' tries each five times; after that run 'sunledger backfill --from {oldest} --to {last}', or look at "
        f"quarantine for the reason.",
        facts=facts,
    )


def judge_zones(found: pl.DataFrame, cure: str) -> Finding:
    """Whether all stored days are cut by the zones of now; `found` has plant_id, was, timezone and n_days where not."""
    facts = {"plants": found["plant_id"].n_unique(), "plant_days": int(found["n_days"].sum())}
    if not found.height:
        return Finding(
            passed=True, text="Every stored day begins and ends by its plant's time zone.", facts=facts
        )
    named = [
        f"{plant} ({was}, now {now})"
        for plant, was, now in found.select("plant_id", "was", "timezone").rows()
    ]
    return Finding(
        passed=False,
        text=f"{pluralize(facts['plant_days'], 'plant-day')} of {pluralize(facts['plants'], 'plant')} begin and end by "
        f"a time zone that the portal has corrected since: {join_first(named, SHOWN)}. Hours around "
        f"midnight count twice or not at all: {cure}",
        facts=facts,
    )


def is_fresh(newest: pl.DataFrame, now: dt.datetime) -> Finding:
    """Whether each backend has data that is as new as it can be.

    `newest` has plant_id, backend and newest (UTC, null for a plant without any row).
    """
    age = pl.lit(now) - pl.col("newest")
    allowed = pl.col("backend").replace_strict(FRESH, return_dtype=pl.Duration("us"))
    late = newest.filter(age.is_null() | (age > allowed)).sort("newest", "plant_id")
    by_backend = newest.group_by("backend").agg(pl.col("newest").max()).sort("backend")
    facts = {f"newest_{name}": "none" if at is None else at.isoformat() for name, at in by_backend.rows()}
    dead = [name for name, at in by_backend.rows() if at is None or now - at > FRESH[name]]
    facts |= {"late_plants": late.height}
    if not late.height:
        return Finding(
            passed=True, text="Every plant's newest row is as recent as SMA can deliver it.", facts=facts
        )
    named = join_first(late["plant_id"].to_list(), SHOWN)
    if dead:
        text = (
            f"No plant of {' and '.join(dead)} has new data: check that the schedules 'today' and 'closing' are on and "
            "their runs succeed, and run 'sunledger doctor'."
        )
    else:
        text = (
            f"{pluralize(late.height, 'plant')} sent no data for a long time ({named}): look at their pages in the "
            "portal."
        )
    return Finding(passed=False, severe=bool(dead), text=text, facts=facts)


def judge_quality(daily: pl.DataFrame, reasons: Mapping[str, int]) -> Finding:
    """Whether few rows have a value that was set aside; `reasons` counts what is in quarantine."""
    rows, flagged = int(daily["n_rows"].sum()), int(daily["n_flagged"].sum())
    facts = {"rows": rows, "flagged": flagged, **{f"aside_{name}": count for name, count in reasons.items()}}
    if flagged <= rows * FLAGGED_SHARE:
        return Finding(passed=True, text=f"{flagged} of {rows} rows have a value set aside.", facts=facts)
    worst = daily.group_by("plant_id").agg(pl.col("n_flagged").sum()).sort("n_flagged", descending=True)
    return Finding(
        passed=False,
        text=f"{flagged} of {rows} rows have a value set aside, most at plant {worst['plant_id'][0]}. docs/quality.md "
        f"explains each reason; for beyond_rated compare the plant's AC power with its nameplate.",
        facts=facts,
    )


def judge_drift(fields: Collection[str], sets: Collection[str]) -> Finding:
    """Whether SMA's answers hold nothing that sunledger does not know."""
    facts = {"unknown_fields": sorted(fields), "unknown_sets": sorted(sets)}
    if not fields and not sets:
        return Finding(passed=True, text="SMA's answers contain nothing unknown.", facts=facts)
    parts = [
        f"{kind}: {', '.join(sorted(names))}" for kind, names in (("fields", fields), ("sets", sets)) if names
    ]
    return Finding(
        passed=False,
        text=f"SMA's answers contain unknown names ({'; '.join(parts)}). The raw tables keep them, so nothing is lost: "
        "check whether a newer version of sunledger reads them.",
        facts=facts,
    )


def judge_budget(requests: pl.DataFrame) -> Finding:
    """Whether SMA refuses few of the day's requests (rows with status, null for no answer)."""
    sent = requests.height
    refused = requests.filter(pl.col("status") == TOO_MANY_REQUESTS).height
    failed = requests.filter(pl.col("status").is_null() | (pl.col("status") >= 500)).height  # noqa: PLR2004
    facts = {"requests": sent, "refused": refused, "unanswered_or_5xx": failed}
    if refused <= sent * REFUSED_SHARE:
        return Finding(
            passed=True, text=f"{refused} of {sent} requests of the last day were refused.", facts=facts
        )
    return Finding(
        passed=False,
        text=f"SMA refused {refused} of {sent} requests of the last day because of their rate: set "
        "SMA_REQUESTS_PER_5_MIN to the number in your contract, and find out who else uses this client.",
        facts=facts,
    )


_OPEN = ("complete", "partial", "missing", "provisional")
