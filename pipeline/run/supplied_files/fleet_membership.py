"""Which plants are yours: the settings that include and exclude plants by id, by name, or by a file.

SMA lists every plant that somebody has given consent for, sold and foreign ones too. What is left out here is not asked
for, so it costs nothing and is never missing.
"""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipeline.common.errors import ConfigurationError
from pipeline.common.files.user_text import read_user_text
from pipeline.common.settings import Settings, name_variable
from pipeline.run.supplied_files.plant_attributes import build_pattern, find_members
from pipeline.transform.lists.plant_moves import add_former_ids

INCLUDE, EXCLUDE = name_variable("include_plants"), name_variable("exclude_plants")
TODAY = name_variable("today_plants")
# Before any day that a plant can have: it is not yours on any.
ALWAYS = dt.date(1970, 1, 1)
EXCLUDED = {"plant_id": pl.String, "excluded_from": pl.Date}

_GROUP = re.compile(r"group:(.*)", re.IGNORECASE | re.DOTALL)
_ENTRY = re.compile(r"(?P<plant>.*?)(?:(?:^|\s+)from\s+(?P<day>\S+))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """One entry of a setting: an id or a name, in which * is any text and ? one character, and its first day.

    That of a group has the ids of its plants as `members`.
    """

    plant: str
    day: dt.date = ALWAYS
    members: frozenset[str] | None = None

    def matches(self) -> pl.Expr:
        """Whether a row of `add_former_ids` is meant, by its id, an id that it had before it moved, or its name."""
        if self.members is not None:
            of_group = pl.element().is_in(sorted(self.members))
            found = [pl.concat_list("plant_id", "former_ids").list.eval(of_group).list.any()]
        else:
            named = pl.element().str.contains(build_pattern(self.plant))
            found = [pl.concat_list("plant_id", "former_ids", "name").list.eval(named).list.any()]
        return pl.any_horizontal(column.fill_null(value=False) for column in found)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The entries of both settings. Without `include` every plant is, and `exclude` wins."""

    include: tuple[FleetEntry, ...] = ()
    exclude: tuple[FleetEntry, ...] = ()

    def find_excluded(self, plants: pl.DataFrame) -> pl.DataFrame:
        """plant_id and excluded_from of the plants that are not yours on that day and later; others have no row.

        `plants` are all rows of the table (plant_id, name, migrated_from): ids of before are found over several moves.
        """
        if not self.include and not self.exclude:
            return pl.DataFrame(schema=EXCLUDED)
        days = [pl.when(entry.matches()).then(pl.lit(entry.day)) for entry in self.exclude]
        if self.include:
            mine = pl.any_horizontal(entry.matches() for entry in self.include)
            days.append(pl.when(~mine).then(pl.lit(ALWAYS)))
        found = add_former_ids(plants).select("plant_id", excluded_from=pl.min_horizontal(days))
        return found.drop_nulls("excluded_from")

    def list_unknown(self, plants: pl.DataFrame) -> list[str]:
        """The entries that fit no plant: a slip, or a plant that is no longer listed."""
        entries = dict.fromkeys((*self.include, *self.exclude))
        known = add_former_ids(plants)
        return [entry.plant for entry in entries if not known.select(entry.matches().any()).item()]


def read_fleet(settings: Settings) -> Fleet:
    """The fleet of the settings.

    Raises ConfigurationError for a file that can't be read, for an invalid entry, and for a group that does not exist.
    """
    return Fleet(
        _find_groups(settings, INCLUDE, _parse_entries(INCLUDE, settings.include_plants, dated=False)),
        _find_groups(settings, EXCLUDE, _parse_entries(EXCLUDE, settings.exclude_plants, dated=True)),
    )


def read_today_plants(settings: Settings) -> Fleet:
    """The plants of SUNLEDGER_TODAY_PLANTS, as `include`.

    Raises ConfigurationError as `read_fleet`.
    """
    return Fleet(
        _find_groups(settings, TODAY, _parse_entries(TODAY, settings.today_plants, dated=False)),
    )


def find_today_plants(settings: Settings, plants: pl.DataFrame) -> list[str]:
    """The plants whose current day SUNLEDGER_TODAY_PLANTS chooses, of all rows of `plants`; none without the setting.

    Raises ConfigurationError as `read_fleet`.
    """
    entries = read_today_plants(settings).include
    chosen = pl.any_horizontal(pl.lit(value=False), *(entry.matches() for entry in entries))
    return add_former_ids(plants).filter(chosen)["plant_id"].to_list()


def select_own_days(rows: pl.LazyFrame, excluded: pl.DataFrame) -> pl.LazyFrame:
    """The rows (plant_id, local_date) of days on which their plants are yours."""
    if not excluded.height:
        return rows
    joined = rows.join(excluded.lazy(), on="plant_id", how="left")
    mine = pl.col("excluded_from").is_null() | (pl.col("local_date") < pl.col("excluded_from"))
    return joined.filter(mine).drop("excluded_from")


def select_days_of_months(
    days: pl.LazyFrame, excluded: pl.DataFrame, closed: Iterable[dt.date]
) -> pl.LazyFrame:
    """The days that months are made of: in open months those on which their plants are yours, in closed ones all."""
    if not excluded.height:
        return days
    of_closed = pl.col("local_date").dt.month_start().is_in(list(closed))
    return pl.concat([select_own_days(days.filter(~of_closed), excluded), days.filter(of_closed)])


def list_entry_files(settings: Settings) -> list[Path]:
    """The files that the settings of plants name, in which their entries are."""
    told = (settings.include_plants, settings.exclude_plants, settings.today_plants)
    words = (word.strip() for text in told for word in text.split(","))
    return [path for word in words if (path := _find_file(word))]


def _find_groups(settings: Settings, setting: str, entries: Iterable[FleetEntry]) -> tuple[FleetEntry, ...]:
    """The entries, those of groups with the plants that they mean."""
    return tuple(
        replace(entry, members=find_members(settings, [group[1].strip()], setting))
        if (group := _GROUP.match(entry.plant))
        else entry
        for entry in entries
    )


def _parse_entries(setting: str, text: str, *, dated: bool) -> tuple[FleetEntry, ...]:
    found: list[FleetEntry] = []
    for word in filter(None, map(str.strip, text.split(","))):
        if path := _find_file(word):
            found += [
                _parse_entry(f"{setting}, {path}", line, dated=dated) for line in _read_lines(setting, path)
            ]
        else:
            found.append(_parse_entry(setting, word, dated=dated))
    return tuple(found)


def _find_file(word: str) -> Path | None:
    """The file that an entry of a setting names; None of a plant."""
    return Path(word[1:]).expanduser() if word.startswith("@") else None


def _read_lines(setting: str, path: Path) -> list[str]:
    """The entries of a file: one a line, without empty lines and what follows a #."""
    text = read_user_text(setting, path)
    return list(filter(None, (line.partition("#")[0].strip() for line in text.splitlines())))


def _parse_entry(where: str, text: str, *, dated: bool) -> FleetEntry:
    match = _ENTRY.fullmatch(text)
    assert match  # noqa: S101 - it takes any text
    plant, day = match["plant"].strip(), match["day"]
    if day is None and plant:
        return FleetEntry(plant)
    try:
        begins = dt.date.fromisoformat(day or "")
    except ValueError:
        begins = None
    if not plant or begins is None or not dated:
        form = "ID, NAME, NAME* or group:NAME" + (
            ", with a day as in 5000000 from 2026-10-15" if dated else ""
        )
        raise ConfigurationError(
            f"{where}: {text!r} is not a valid entry: write {form}, or @FILE for a file with one entry in each line."
        )
    return FleetEntry(plant, begins)
