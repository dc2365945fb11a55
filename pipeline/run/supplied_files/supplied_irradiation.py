"""A user's own irradiation, as a satellite service or a weather station delivers it: read, checked, and never repaired.

One file for all plants, CSV or Parquet, with the columns of `COLUMNS` and one of `VALUES`. A file that breaks a rule
stops the step with the first row that does: a figure by half a series would look like one by a whole.
"""

import io
from functools import lru_cache
from pathlib import Path
from typing import Final

import polars as pl

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.user_text import build_file_error, read_user_text, split_separator
from pipeline.common.local_time import UTC_US, parse_offset_times
from pipeline.common.settings import Settings, name_variable
from pipeline.run.supplied_files.user_files import read_unchanged, refuse_rows, write_decimal_points

_HEAD_BYTES: Final = 2**16
COLUMNS: Final = ("plant_id", "interval_start", "interval_end")
# Mean irradiance of the interval, or its irradiation: on the modules' plane, as the standard wants it.
VALUES: Final = ("w_per_m2", "kwh_per_m2")
SETTING: Final = name_variable("irradiation")
NAME: Final = "source"
# The bright edge of a cloud gives some more than the sun outside of the atmosphere, for minutes.
MOST_W_PER_M2: Final = 2000.0
LONGEST_H: Final = 1.0
IRRADIATION: Final = pl.Schema(
    {
        "plant_id": pl.String(),
        "interval_start": UTC_US,
        "interval_end": UTC_US,
        "w_per_m2": pl.Float64(),
        "series": pl.String(),
    }
)
_WANTED = "'plant_id, interval_start, interval_end, w_per_m2' (or kwh_per_m2), and source if you like"


def read_supplied_irradiation(settings: Settings) -> pl.DataFrame:
    """Rows of the user's file (IRRADIATION), sorted by plant and time; none where no file is set.

    `w_per_m2` is the interval's mean in W/m², `series` the name of the source. Raises ConfigurationError for a file
    that can't be read or breaks a rule.
    """
    path = settings.irradiation
    if path is None:
        return pl.DataFrame(schema=IRRADIATION)
    return read_unchanged(SETTING, path, "CSV or Parquet", _read)


@lru_cache(maxsize=2)
def _read(path: Path, _changed: int, _size: int) -> pl.DataFrame:
    """The file's rows, read once for all days that are made of it while it stays the same."""
    found = _read_table(path)
    values = [name for name in VALUES if name in found.columns]
    lacking = [name for name in COLUMNS if name not in found.columns]
    if lacking or len(values) != 1:
        what = (
            f"it lacks {', '.join(lacking)}"
            if lacking
            else "it needs exactly one of the columns w_per_m2 and kwh_per_m2"
        )
        raise _build_error(path, what, f"write a header with {_WANTED}")
    read = [*COLUMNS, values[0], *(name for name in (NAME,) if name in found.columns)]
    if nested := [name for name in read if found.schema[name].is_nested()]:
        raise _build_error(
            path,
            f"its column {nested[0]} holds lists or structures",
            f"write one value a row, with {_WANTED}",
        )
    rows = found.select(
        pl.col("plant_id").cast(pl.String),
        *(_parse_instant(found, name) for name in ("interval_start", "interval_end")),
        value=pl.col(values[0]).cast(pl.Float64, strict=False),
        series=pl.col(NAME).cast(pl.String) if NAME in found.columns else pl.lit(path.stem),
    )
    hours = (pl.col("interval_end") - pl.col("interval_start")).dt.total_microseconds() / 3.6e9
    watts = pl.col("value") if values[0] == "w_per_m2" else pl.col("value") * 1000 / hours
    rows = rows.with_row_index("row", 1).with_columns(hours=hours, w_per_m2=watts)
    _check(path, rows, given=found[values[0]])
    ordered = rows.sort("plant_id", "interval_start")
    same = pl.col("plant_id") == pl.col("plant_id").shift(1)
    _refuse(
        path,
        ordered.filter(same & (pl.col("interval_start") < pl.col("interval_end").shift(1))),
        "its interval overlaps another one of the plant",
        "give each moment of a plant only once",
    )
    # What has no value is no measurement: a gap, as of a sensor.
    return ordered.drop_nulls("w_per_m2").select(IRRADIATION.names()).cast(dict(IRRADIATION))  # type: ignore[arg-type]


def _read_table(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pl.read_parquet(path)
        # Years of a fleet are gigabytes, so text that polars reads by itself is not read here.
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        plain = b"\0" not in head and not head.startswith(b"sep=")
        separator, text = split_separator(
            head.decode(errors="replace") if plain else read_user_text(SETTING, path)
        )
        found = pl.read_csv(
            path if plain else io.StringIO(text.lstrip("\r\n")),
            separator=separator,
            schema_overrides={"plant_id": pl.String},
            infer_schema_length=None,
        )
        return write_decimal_points(found, separator, VALUES)
    except (pl.exceptions.PolarsError, OSError) as fault:
        reason = str(fault).partition("\n")[0]
        raise _build_error(
            path, f"it is not a table ({reason})", f"write CSV or Parquet with {_WANTED}"
        ) from fault


def _parse_instant(found: pl.DataFrame, name: str) -> pl.Expr:
    """A moment in UTC; null where a text is none, or has no offset."""
    kind = found.schema[name]
    if kind == pl.String:
        return parse_offset_times(pl.col(name)).alias(name)
    if isinstance(kind, pl.Datetime) and kind.time_zone:
        # The instant stays what it is, whatever clock shows it.
        return pl.col(name).cast(pl.Datetime("us", kind.time_zone)).cast(pl.Int64).cast(UTC_US).alias(name)
    return pl.lit(None, UTC_US).alias(name)


def _check(path: Path, rows: pl.DataFrame, given: pl.Series) -> None:
    """Raise ConfigurationError for the first row that breaks a rule."""
    value = pl.col("value")
    for broken, what, cure in (
        (
            pl.col("plant_id").is_null() | (pl.col("plant_id") == ""),
            "its plant_id is empty",
            "name the plant",
        ),
        (
            pl.any_horizontal(pl.col("interval_start", "interval_end").is_null()),
            "its interval has no start or end",
            "write times with their offset, for instance 2026-06-01T10:00:00Z",
        ),
        (
            ~pl.col("hours").is_between(0, LONGEST_H, closed="right"),
            f"its interval is empty or longer than {LONGEST_H:g} h",
            "give intervals of at most an hour whose end is after the start",
        ),
        (
            value.is_null() & pl.lit(given).is_not_null(),
            "its value is not a number",
            "leave unknown values empty",
        ),
        (
            ~pl.col("w_per_m2").is_between(0, MOST_W_PER_M2) | pl.col("w_per_m2").is_nan(),
            f"its value is not from 0 to {MOST_W_PER_M2:,.0f} W/m²",
            "check the unit of the column: W/m² of mean power, or kWh/m² of the interval",
        ),
    ):
        _refuse(path, rows.filter(broken), what, cure)


def _refuse(path: Path, broken: pl.DataFrame, what: str, cure: str) -> None:
    refuse_rows(SETTING, path, broken, what, cure)


def _build_error(path: Path, what: str, cure: str) -> ConfigurationError:
    return build_file_error(SETTING, path, what, cure)
