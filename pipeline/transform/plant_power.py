"""The powers of plants and devices on a day: what SMA listed then, where its list has other powers since then."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

POWERS = ("ac_power_kw", "peak_power_kw")
DEVICE_POWERS = ("generator_power_w", "generator_power_dc_w")
FORMER = "former_powers"
# The columns of `plants` that say it.
POWER_COLUMNS = (*POWERS, FORMER)
# A power that SMA listed for fewer days was a mistake: reports of the first month show it, and the owner corrects it.
CORRECTED_WITHIN = dt.timedelta(days=31)
_ONE_DAY = dt.timedelta(days=1)
_Row = dict[str, Any]


def build_no_former(powers: Sequence[str]) -> list[pl.Expr]:
    """The columns of former powers for rows of which no other power is known."""
    return [
        *(pl.lit(None, pl.Float64).alias(f"former_{name}") for name in powers),
        pl.lit(None, pl.Date).alias("power_reduced_on"),
        pl.lit(None, pl.String).alias(FORMER),
    ]


def remember_powers(
    listed: pl.DataFrame, stored: pl.DataFrame, keys: Sequence[str], powers: Sequence[str]
) -> pl.DataFrame:
    """The listed rows with what is stored of other powers: former_powers, and the largest ones before a reduction.

    What was listed for a plant by the id that it had before it moved counts for the plant.
    """
    largest = [f"former_{name}" for name in powers]
    moves = [name for name in ("migrated_from",) if name in listed.columns]
    names = [*powers, *largest, "power_reduced_on", FORMER, "first_seen", *moves]
    before = stored.select(*keys, *(pl.col(name).alias(f"{name}_before") for name in names))
    joined = listed.join(before, on=keys, how="left", maintain_order="left")
    reduced = pl.any_horizontal(pl.col(f"{name}_before") > pl.col(name).fill_null(0.0) for name in powers)
    reduced = reduced.fill_null(value=False)
    known = joined.with_columns(
        *(
            pl.when(reduced)
            .then(pl.max_horizontal(f"{then}_before", f"{name}_before"))
            .otherwise(f"{then}_before")
            .alias(then)
            for name, then in zip(powers, largest, strict=True)
        ),
        pl.when(reduced).then("last_seen").otherwise("power_reduced_on_before").alias("power_reduced_on"),
        pl.col(f"{FORMER}_before").alias(FORMER),
    )
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in powers)
    # Homes of earlier versions have the last reduction alone.
    unread = pl.col(f"{FORMER}_before").is_null() & pl.col("power_reduced_on_before").is_not_null()
    is_news = pl.col("first_seen_before").is_not_null() & (other | unread)
    for name in moves:
        is_news |= pl.col(name).is_not_null() & pl.col(f"{name}_before").is_null()
    changed = joined.filter(is_news).select(*keys, *powers, "last_seen", *moves)
    if not changed.height:
        return known.select(listed.columns)
    rows = {
        tuple(row[key] for key in keys): row for row in stored.select(*keys, *names).iter_rows(named=True)
    }
    texts = [
        (*(row[key] for key in keys), json.dumps(_follow_row(row, rows, keys, powers)))
        for row in changed.iter_rows(named=True)
    ]
    schema = {**{key: pl.String() for key in keys}, "now": pl.String()}
    followed = known.join(
        pl.DataFrame(texts, schema, orient="row"), on=keys, how="left", maintain_order="left"
    )
    return followed.with_columns(pl.coalesce("now", FORMER).alias(FORMER)).select(listed.columns)


def _follow_row(
    now: _Row, stored: Mapping[tuple[str, ...], _Row], keys: Sequence[str], powers: Sequence[str]
) -> list[dict[str, Any]]:
    """former_powers of a row that is listed now, by all stored rows."""
    own = stored.get(tuple(now[key] for key in keys))
    moved_from = stored.get((now.get("migrated_from") or "",))
    former: list[dict[str, Any]] = []
    if moved_from and not (own and own.get("migrated_from")):
        of_own = _read_former(own, powers) if own else []
        first, day = (of_own or [own])[0] if own else now, own["first_seen"] if own else now["last_seen"]
        former = _follow_change(_read_former(moved_from, powers), moved_from, first, day, powers)
        former += of_own
    elif own:
        former = _read_former(own, powers)
    if own:
        former = _follow_change(former, own, now, now["last_seen"], powers)
    return [one | {"until": one["until"].isoformat()} for one in former]


def _follow_change(
    former: list[dict[str, Any]], before: _Row, now: _Row, day: dt.date, powers: Sequence[str]
) -> list[dict[str, Any]]:
    """`former` after a list of the day gave the powers of `now` in place of those of `before`."""
    then = {name: now[name] if before[name] is None else before[name] for name in powers}
    is_gone = any(now[name] is None for name in powers if then[name] is not None)
    if any(then[name] != now[name] for name in powers):
        since = former[-1]["until"] + _ONE_DAY if former else before["first_seen"]
        # The larger one counts on the day itself: one was listed for a part of it, and an owner writes down a new
        # power after it is there.
        is_less = any(then[name] > (now[name] or 0.0) for name in powers if then[name] is not None)
        if is_gone or day - since >= CORRECTED_WITHIN:
            former = [*former, {"until": day if is_less else day - _ONE_DAY} | then]
    if former and all(former[-1][name] == now[name] for name in powers):
        # It was another one for so short a time that this was a mistake.
        return former[:-1]
    return former


def _read_former(row: _Row, powers: Sequence[str]) -> list[dict[str, Any]]:
    """The former powers of a stored row, each with `until`, its last day."""
    if row[FORMER] is not None:
        return [one | {"until": dt.date.fromisoformat(one["until"])} for one in json.loads(row[FORMER])]
    if row["power_reduced_on"] is None:
        return []
    largest = {
        name: max((one for one in (row[name], row[f"former_{name}"]) if one is not None), default=None)
        for name in powers
    }
    return [{"until": row["power_reduced_on"], **largest}]


def list_former_powers(listed: pl.DataFrame, keys: Sequence[str], powers: Sequence[str]) -> pl.DataFrame:
    """The keys, until (the last day) and these powers, of all powers in former_powers of the rows; sorted."""
    fields = {"until": pl.String(), **{name: pl.Float64() for name in powers}}
    found = listed.filter(pl.col(FORMER).is_not_null()).select(
        *keys, entry=pl.col(FORMER).str.json_decode(pl.List(pl.Struct(fields)))
    )
    entries = found.explode("entry").filter(pl.col("entry").is_not_null()).unnest("entry")
    return entries.with_columns(pl.col("until").str.to_date()).sort(*keys, "until")


def take_powers_of_day(plants: pl.DataFrame, day: dt.date) -> pl.DataFrame:
    """The plants with the powers that they had on the day."""
    return join_powers(plants.drop(POWERS).with_columns(local_date=day), plants).select(plants.columns)


def join_powers(days: pl.DataFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """The rows (plant_id, local_date) with POWERS of their day; a power that was not listed then is the present one."""
    present = days.join(plants.select("plant_id", *POWERS), on="plant_id", how="left", maintain_order="left")
    former = list_former_powers(plants, ["plant_id"], POWERS)
    if former.is_empty():
        return present
    dated = (
        present.with_row_index("_row")
        .sort("local_date")
        .join_asof(
            former.sort("until"), left_on="local_date", right_on="until", by="plant_id",
            strategy="forward", suffix="_then", check_sortedness=False,
        )
        .sort("_row")
    )  # fmt: skip
    return dated.with_columns(pl.coalesce(f"{name}_then", name).alias(name) for name in POWERS).select(
        present.columns
    )


def find_largest_power(name: str, day: dt.date) -> pl.Expr:
    """The largest of one of POWERS or DEVICE_POWERS that a plant or device may have had on a day.

    It is that of the list, or the larger one that was listed before SMA gave less: of several reductions only the last
    day is known. Figures are related to the power of the day; this one says which values are possible.
    """
    before = pl.when(pl.col("power_reduced_on") >= day).then(f"former_{name}")
    return pl.max_horizontal(name, before)


def find_rated_w() -> pl.Expr:
    """The rated power of a plant in W, of rows with ac_power_kw of the day; null where it is not known."""
    rated_w = pl.col("ac_power_kw") * 1000
    return pl.when(rated_w > 0).then(rated_w)


def find_month_powers(days: pl.LazyFrame, plants: pl.DataFrame) -> pl.DataFrame:
    """plant_id, month and POWERS of the plants that had other powers before: the mean of their days.

    `days` has plant_id and local_date. A month in which nothing changed has the power of its days to the last bit.
    """
    changed = plants.filter(pl.col(FORMER).is_not_null()).select("plant_id", *POWER_COLUMNS)
    equal = {name: pl.col(name).min().eq_missing(pl.col(name).max()) for name in POWERS}
    if changed.is_empty():
        # Nearly always so, and the days of a large fleet need not be read for it.
        days = days.clear()
    found = days.select("plant_id", "local_date").join(changed.lazy(), on="plant_id", how="semi").collect()
    return (
        join_powers(found, changed)
        .group_by("plant_id", month=pl.col("local_date").dt.truncate("1mo"))
        .agg(pl.when(equal[name]).then(pl.col(name).min()).otherwise(pl.col(name).mean()) for name in POWERS)
    )
