"""SMA's invoice against our own count, line by line."""

import datetime as dt

import polars as pl

from pipeline.billing.invoices import MONTHS_A_QUARTER
from pipeline.transform.lists.plant_moves import find_successors

AGREED, OURS, THEIRS = "agreed", "ours only", "theirs only"
CLASS, PRICE, UNPRICED = "other class", "other price", "no price"
KINDS = (AGREED, OURS, THEIRS, CLASS, PRICE, UNPRICED)
KEY = ("plant_id", "month")


def compare_invoice(
    lines: pl.DataFrame,
    units: pl.DataFrame,
    unanswered: pl.DataFrame,
    moves: pl.DataFrame,
    record: tuple[dt.date, dt.date] | None = None,
) -> pl.DataFrame:
    """Each PU of either side on a row, by month and plant.

    `lines` are those of an InvoiceFile, `units` rows of billing_units of the same months, `unanswered` says which
    systems were asked for and not answered (plant_id, month, n_requests), `moves` which got a new id (old_id, plant_id,
    moved_on), `record` is the first and the last month of our count. The result has month, plant_id, kind, ours_class,
    theirs_class, ours_eur, theirs_eur, difference_eur (theirs less ours), line (of the invoice, the first where charges
    and credits of a PU were added up) and note.
    """
    both = _match(_add_up(_take_our_ids(lines, units, moves)), units)
    return (
        both.join(unanswered.rename({"n_requests": "_unanswered"}), on=KEY, how="left")
        .with_columns(kind=_tell_kind())
        .with_columns(
            note=pl.concat_str(_note_of_credit(), _note(record), separator="; ", ignore_nulls=True).replace(
                "", None
            ),
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


def find_quarters(lines: pl.DataFrame) -> tuple[dt.date, dt.date]:
    """The first and the last month of the quarters that these lines charge: an invoice is for whole quarters of a year.

    It is the year that most lines are of. Credits may be of any month before, and count where there is nothing else.
    """
    charged = lines.filter(pl.col("amount_eur") >= 0)
    months = (charged if charged.height else lines)["month"]
    months = months.filter(months.dt.year() == months.dt.year().mode().max())
    first, last = min(months), max(months)
    begin = first.replace(month=first.month - (first.month - 1) % MONTHS_A_QUARTER)
    return begin, last.replace(month=last.month + 2 - (last.month - 1) % MONTHS_A_QUARTER)


def _match(theirs: pl.DataFrame, units: pl.DataFrame) -> pl.DataFrame:
    """Lines beside the PU that they charge, and what only one side has.

    A PU is paid once: its first charge (`_first` has its line) meets our count, and every further one has nothing to
    meet.
    """
    theirs = theirs.with_columns(_first=pl.col("line").filter(pl.col("amount_eur") >= 0).min().over(KEY))
    theirs = theirs.with_columns(_ours=pl.col("_credited") | pl.col("line").eq_missing(pl.col("_first")))
    ours = units.select(
        *KEY,
        "n_requests",
        "first_request",
        "pricing",
        "capacity_kw",
        "capacity_as_of",
        ours_class="capacity_class",
        ours_eur="fee_eur",
        _ours=pl.lit(value=True),
    )
    return theirs.rename({"capacity_class": "theirs_class", "amount_eur": "theirs_eur"}).join(
        ours, on=[*KEY, "_ours"], how="full", coalesce=True
    )


def _add_up(theirs: pl.DataFrame) -> pl.DataFrame:
    """Lines as they are, but one line for the charges and credits of the same PU.

    `_credited` says that it is such a sum, `_lines` of which lines.
    """
    charges = pl.col("amount_eur") > 0
    mixed = charges.any().over(KEY) & (pl.col("amount_eur") < 0).any().over(KEY)
    one = pl.when(mixed).then(pl.col("line").min().over(KEY)).otherwise("line")
    return (
        theirs.with_columns(_credited=mixed, _one=one)
        .group_by(*KEY, "_credited", "_one", maintain_order=True)
        .agg(
            pl.col("line").first(),
            # A charge that was wrong is credited, and the right one follows.
            pl.col("capacity_class").filter(charges | ~mixed).drop_nulls().last(),
            pl.col("amount_eur").sum(),
            _lines=pl.col("line").cast(pl.String).str.join(", "),
        )
        .drop("_one")
    )


def _take_our_ids(lines: pl.DataFrame, units: pl.DataFrame, moves: pl.DataFrame) -> pl.DataFrame:
    """Lines with plant_id as we write it: of a system that moved the id by which we count it in the month.

    An invoice that comes after a move may name the months before it by the new id, also over several moves.
    """
    newest = find_successors(moves.select("plant_id", migrated_from="old_id"))
    ids = pl.concat(
        [newest.select("plant_id", "successor"), newest.select("successor", plant_id="successor").unique()],
        how="diagonal",
    )
    names = ids.join(ids.rename({"plant_id": "name"}), on="successor")
    moved = units.join(names, on="plant_id").select(
        "plant_id", "month", _lower=pl.col("name").str.to_lowercase()
    )
    units = units.select("plant_id", "month", _lower=pl.col("plant_id").str.to_lowercase())
    known = pl.concat([units, moved]).unique(["_lower", "month"], keep="first", maintain_order=True)
    found = lines.join(
        known.rename({"plant_id": "_ours"}),
        left_on=["plant_id", "month"],
        right_on=["_lower", "month"],
        how="left",
        maintain_order="left",
    )
    return found.with_columns(plant_id=pl.coalesce("_ours", "plant_id")).select(lines.columns)


def _tell_kind() -> pl.Expr:
    other_class = pl.col("theirs_class").is_not_null() & pl.col("theirs_class").ne_missing(
        pl.col("ours_class")
    )
    nothing = _is_paid_back()
    counted = pl.col("n_requests").is_not_null()
    return (
        pl.when(pl.col("line").is_null() | (nothing & counted))
        .then(pl.lit(OURS))
        .when(nothing)
        .then(pl.lit(AGREED))
        .when(~counted)
        .then(pl.lit(THEIRS))
        .when(pl.col("ours_eur").is_null())
        .then(pl.lit(UNPRICED))
        .when(other_class)
        .then(pl.lit(CLASS))
        .when(pl.col("theirs_eur").ne_missing(pl.col("ours_eur")))
        .then(pl.lit(PRICE))
        .otherwise(pl.lit(AGREED))
    )


def _is_paid_back() -> pl.Expr:
    """Whether SMA has credited all that it has charged for a PU."""
    return pl.col("_credited").fill_null(value=False) & (pl.col("theirs_eur") == 0)


def _note_of_credit() -> pl.Expr:
    alone = (pl.col("theirs_eur") < 0) & ~pl.col("_credited")
    return (
        pl.when(_is_paid_back())
        .then(pl.format("charged and credited in lines {}", "_lines"))
        .when(pl.col("_credited"))
        .then(pl.format("charges less credits of lines {}", "_lines"))
        .when(alone)
        .then(pl.lit("a credit for a charge that is not in this file: look at an earlier invoice"))
    )


def _note(record: tuple[dt.date, dt.date] | None) -> pl.Expr:
    """What else is known of a line."""
    begin, end = record or (dt.date.min, dt.date.max)
    kind, theirs = pl.col("kind"), pl.col("kind") == THEIRS
    since = pl.col("first_request").dt.strftime("%Y-%m-%d %H:%M UTC")
    return (
        pl.when(theirs & (pl.col("theirs_eur") < 0))
        .then(None)
        .when(theirs & (pl.col("line") != pl.col("_first")))
        .then(pl.format("billed twice: see line {}", "_first"))
        .when(theirs & pl.col("_unanswered").is_not_null())
        .then(pl.format("{} request{} without an answer", "_unanswered", _count_of("_unanswered")))
        .when(theirs & (pl.col("month") < begin))
        .then(pl.lit(f"our record of requests begins in {begin:%Y-%m}"))
        .when(theirs & (pl.col("month") > end))
        .then(pl.lit(f"our record of requests ends in {end:%Y-%m}"))
        .when(theirs)
        .then(pl.lit("no request in this month"))
        .when((kind != AGREED) & (pl.col("pricing") == "no_capacity"))
        .then(pl.lit("SMA lists no AC capacity, so we have no price"))
        .when((kind != AGREED) & (pl.col("pricing") == "no_price"))
        .then(pl.lit("our price list begins later"))
        .when(kind == OURS)
        .then(pl.format("{} request{} since {}", "n_requests", _count_of("n_requests"), since))
        .when(kind.is_in([CLASS, PRICE]))
        .then(pl.format("{} kW as listed on {}", "capacity_kw", pl.col("capacity_as_of").dt.to_string("iso")))
    )


def _count_of(count: str) -> pl.Expr:
    return pl.when(pl.col(count) == 1).then(pl.lit("")).otherwise(pl.lit("s"))
