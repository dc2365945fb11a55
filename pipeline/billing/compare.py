"""SMA's invoice against our own count, line by line."""

import datetime as dt

import polars as pl

AGREED, OURS, THEIRS = "agreed", "ours only", "theirs only"
CLASS, PRICE = "other class", "other price"
KINDS = (AGREED, OURS, THEIRS, CLASS, PRICE)
MONTHS_A_QUARTER = 3


def compare(
    lines: pl.DataFrame, units: pl.DataFrame, vain: pl.DataFrame, moves: pl.DataFrame
) -> pl.DataFrame:
    """Each PU of either side on a row, by month and plant.

    `lines` are those of an InvoiceFile, `units` rows of billing_units of the same months, `vain` says who was asked
    for and not answered (plant_id, month, n_requests), `moves` who got a new id (old_id, plant_id, moved_on). The
    result has month, plant_id, kind, ours_class, theirs_class, ours_eur, theirs_eur, difference_eur (theirs less
    ours), line (of the invoice) and note.
    """
    key = ["plant_id", "month"]
    theirs = _by_our_ids(lines, units, moves).with_columns(_first=pl.col("line").min().over(key))
    # A PU is paid once: its first line meets our count, and every further one has nothing to meet.
    theirs = theirs.with_columns(_ours=pl.col("line") == pl.col("_first"))
    ours = units.select(
        *key,
        "n_requests",
        "first_request",
        "pricing",
        "capacity_kw",
        "capacity_as_of",
        ours_class="capacity_class",
        ours_eur="fee_eur",
        _ours=pl.lit(value=True),
    )
    both = theirs.rename({"capacity_class": "theirs_class", "amount_eur": "theirs_eur"}).join(
        ours, on=[*key, "_ours"], how="full", coalesce=True
    )
    both = both.join(vain.rename({"n_requests": "_vain"}), on=key, how="left")
    return (
        both.with_columns(kind=_kind())
        .with_columns(
            note=_note(),
            difference_eur=pl.col("theirs_eur").fill_null(0) - pl.col("ours_eur").fill_null(0),
        )
        .sort("month", "plant_id", "line")
        .select(
            "month",
            "plant_id",
            "kind",
            "ours_class",
            "theirs_class",
            "ours_eur",
            "theirs_eur",
            "difference_eur",
            "line",
            "note",
        )
    )


def quarters_of(months: pl.Series) -> tuple[dt.date, dt.date]:
    """The first and the last month of the quarters that these months lie in: an invoice is for whole quarters."""
    first, last = min(months), max(months)
    begin = first.replace(month=first.month - (first.month - 1) % MONTHS_A_QUARTER)
    return begin, last.replace(month=last.month + 2 - (last.month - 1) % MONTHS_A_QUARTER)


def _by_our_ids(lines: pl.DataFrame, units: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Lines with plant_id as we write it: of a system with a new id that one, where we count it so in the month."""
    units = units.select("plant_id", "month", _lower=pl.col("plant_id").str.to_lowercase())
    moved = units.join(moves, on="plant_id").select(
        "plant_id", "month", _lower=pl.col("old_id").str.to_lowercase()
    )
    known = pl.concat([units, moved]).unique(["_lower", "month"], keep="first", maintain_order=True)
    found = lines.join(
        known.rename({"plant_id": "_ours"}),
        left_on=["plant_id", "month"],
        right_on=["_lower", "month"],
        how="left",
        maintain_order="left",
    )
    return found.with_columns(plant_id=pl.coalesce("_ours", "plant_id")).select(lines.columns)


def _kind() -> pl.Expr:
    other_class = pl.col("theirs_class").is_not_null() & pl.col("theirs_class").ne_missing(
        pl.col("ours_class")
    )
    return (
        pl.when(pl.col("line").is_null())
        .then(pl.lit(OURS))
        .when(pl.col("n_requests").is_null())
        .then(pl.lit(THEIRS))
        .when(other_class)
        .then(pl.lit(CLASS))
        .when(pl.col("theirs_eur").ne_missing(pl.col("ours_eur")))
        .then(pl.lit(PRICE))
        .otherwise(pl.lit(AGREED))
    )


def _note() -> pl.Expr:
    """What else is known of a line."""
    kind, theirs = pl.col("kind"), pl.col("kind") == THEIRS
    since = pl.col("first_request").dt.strftime("%Y-%m-%d %H:%M UTC")
    return (
        pl.when(theirs & (pl.col("line") != pl.col("_first")))
        .then(pl.format("billed twice: see line {}", "_first"))
        .when(theirs & pl.col("_vain").is_not_null())
        .then(pl.format("{} request{} without an answer", "_vain", _plural("_vain")))
        .when(theirs)
        .then(pl.lit("not asked for in this month"))
        .when((kind != AGREED) & (pl.col("pricing") == "no_capacity"))
        .then(pl.lit("SMA lists no AC capacity, so we have no price"))
        .when((kind != AGREED) & (pl.col("pricing") == "no_price"))
        .then(pl.lit("our price list begins later"))
        .when(kind == OURS)
        .then(pl.format("{} request{} since {}", "n_requests", _plural("n_requests"), since))
        .when(kind.is_in([CLASS, PRICE]))
        .then(pl.format("{} kW as listed on {}", "capacity_kw", pl.col("capacity_as_of").dt.to_string("iso")))
    )


def _plural(count: str) -> pl.Expr:
    return pl.when(pl.col(count) == 1).then(pl.lit("")).otherwise(pl.lit("s"))
