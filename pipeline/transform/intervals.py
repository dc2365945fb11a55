"""Raw answers of a measurement set to rows of its interval table, with everything that was set aside.

Pure: frames in, frames out. Rows in = rows out + rows set aside + rows that belong to a neighbouring day, checked on
every batch. (A row that is the mean of both passes of the repeated hour comes out twice, once for each.)
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from functools import lru_cache

import polars as pl

from pipeline.common.local_time import (
    UTC_US,
    MergedHour,
    TimeBasis,
    build_days_frame,
    convert_to_instants,
    is_newest_first,
    parse_label,
)
from pipeline.transform import row_rules
from pipeline.transform.anomalies import FINDING, Suspicions, sum_findings
from pipeline.transform.array_fields import name_array_column, unnest_elements
from pipeline.transform.batch_account import BatchAccount, IntervalBatch, build_quarantine
from pipeline.transform.decode import DecodedBatch, Decoder
from pipeline.transform.energy import add_energies, add_intervals
from pipeline.transform.limited_power import power_limits
from pipeline.transform.performance.power_faults import PowerRules
from pipeline.transform.row_groups import split_by_group
from pipeline.transform.thresholds import Thresholds, load_thresholds
from schemas import Table, polars_schema, storage
from schemas.quantities import Field, MeasurementSet

RESOLUTIONS = {
    "OneMinute": 60,
    "FiveMinutes": 300,
    "TenMinutes": 600,
    "FifteenMinutes": 900,
    "ThirtyMinutes": 1800,
    "OneHour": 3600,
}


class SetTransform:
    """Turns raw answers of one set into rows of one interval table, for one day after another."""

    def __init__(
        self,
        measurement_set: MeasurementSet,
        model: type[Table],
        basis: TimeBasis,
        merged_hour: MergedHour = "gap",
        limits: Thresholds | None = None,
    ) -> None:
        self.set, self.model, self.basis, self.merged_hour = measurement_set, model, basis, merged_hour
        self.columns = polars_schema(model).names()
        self.series = [key for key in storage(model).key if key in {"plant_id", "device_id"}]
        # In a table of arrays each element is a row of its own, named by this column.
        last = storage(model).key[-1]
        self.index = last if last != "interval_end" else None
        # A set may fill several tables. All its fields are read for each: what is not read would be taken for unknown.
        here = [f for f in measurement_set.fields if f.array == (self.index is not None)]
        self.fields = [f for f in here if f.value_column in self.columns]
        self.decoder, self.either = _build_decoder(measurement_set)
        # The columns of what is read, by those of this table.
        self.names = {self._read_from(f): f.value_column for f in self.fields}
        self.api = {f.value_column: f.api for f in self.fields}
        self.powers = [f.column for f in self.fields if f.power]
        self.limits = limits or load_thresholds()
        self.rules = _build_rules(tuple(self.fields))
        keys = ["series"] if self.index is None else ["series", self.index]
        self.power_rules = PowerRules.of(self.fields, keys, self.limits)
        self.suspicions = _build_suspicions(tuple(self.columns), self.limits)

    def _read_from(self, field: Field) -> str:
        return name_array_column(field.api) if field.array and field.api in self.either else field.api

    def transform_day(
        self, answers: Iterable[pl.DataFrame], places: pl.DataFrame, day: dt.date
    ) -> Iterator[IntervalBatch]:
        """Interval rows of the day for each batch of answers, sorted by the model's key; and what became of the rest.

        `answers` are frames of RawAnswers sorted by their key. `places` has plant_id, [device_id,] timezone, and
        latitude, longitude, rated_w, peak_w, own_w where they are known. Rows of plants without a place are set aside.
        """
        places = power_limits.build_sites(places, day, self.limits)
        zones = build_days_frame(day, places["timezone"])
        for batch in split_by_group(answers, self.series):
            placed = batch.join(places, on=self.series, how="left", maintain_order="left").join(
                zones, on="timezone", how="left", maintain_order="left"
            )
            yield self._transform_batch(placed, day)

    def _transform_batch(self, answers: pl.DataFrame, day: dt.date) -> IntervalBatch:
        decoded = self.decoder.decode(answers["body"])
        rows = self._add_times(answers, decoded)
        known, faulty, strays = row_rules.split_faulty(rows)
        known, doubles = row_rules.split_doubles(known)
        if row_rules.PV in self.powers:
            known = power_limits.add_limits(known, answers, self.limits)
        cells, lost = self._number_cells(known, decoded)
        cells = self.power_rules.mark(cells, answers)
        broken = self._list_broken_rules(cells)
        cells, drawn = self._zero_standby(cells, broken)
        bad_values = pl.concat(
            [self._find_bad_values(cells, broken), self._find_unread(known, cells, decoded), lost]
        )
        out, findings = self.suspicions.find(self._add_energies(known, cells, broken, bad_values))
        aside = pl.concat([faulty, doubles])
        merged = known["second_end"].count()
        again = merged if self.merged_hour == "mean" else 0
        stored = known.height + again if self.index else out.height
        if rows.height + again != stored + aside.height + strays:
            raise AssertionError(
                f"{storage(self.model).table} {day}: the rules lost some of {rows.height} rows."
            )
        account = BatchAccount(
            rows_in=rows.height,
            rows_out=stored,
            rows_aside=aside.height,
            rows_of_neighbours=strays,
            values_aside=bad_values.height,
            rows_suspect=int(out["suspect"].sum()),
            merged_rows=merged,
            rows_of_second_pass=again,
            answers=answers.height,
            energies={f"{name}_kwh": float(out[f"{name}_kwh"].sum()) for name in self.powers},
            unknown_fields=frozenset(decoded.unknown_fields),
            aside=[
                *self._quarantine_bad(answers, decoded, aside, bad_values, day),
                *self._quarantine_suspect(answers, pl.concat([findings, drawn]), day),
            ],
        )
        return IntervalBatch(out.with_columns(local_date=pl.lit(day)).select(self.columns), account)

    def _add_times(self, answers: pl.DataFrame, decoded: DecodedBatch) -> pl.DataFrame:
        """Rows with their instant, what bounds them, and the reason to set them aside."""
        seconds = decoded.resolution.replace_strict(RESOLUTIONS, default=None, return_dtype=pl.Int64)
        step = (seconds * 10**6).cast(pl.Duration("us")).alias("resolution")
        facts = answers.select(
            *self.series,
            pl.struct(self.series).rle_id().alias("series"),
            "day_start", "day_end", "change", "before", "after", "fetched_at",
            "rated_w", "bound_w", "size_w", "own_w", "dawn", "dusk",
            step,
        )  # fmt: skip
        rows = decoded.rows.select("answer", "raw_time", *self.names).rename(self.names).with_row_index("row")
        rows = pl.concat([rows, facts[rows["answer"]]], how="horizontal").with_columns(
            _parse_labels(decoded.rows["raw_time"])
        )
        if step.null_count():
            rows = rows.with_columns(resolution=pl.col("resolution").fill_null(self._find_step()))
        rows = self._add_instants(rows, changes=facts["change"].null_count() < facts.height)
        if row_rules.has_no_fault(rows, self.limits):
            return rows.with_columns(fault=pl.lit(None, pl.String))
        return rows.with_columns(fault=row_rules.find_row_fault(self.limits, neighbours=self.basis == "utc"))

    def _add_instants(self, rows: pl.DataFrame, *, changes: bool) -> pl.DataFrame:
        """The rows with their instants, in the order in which they came: which pass a row is of its place tells."""
        moments = convert_to_instants(self.basis, changes=changes)
        if not changes or self.basis == "utc":
            return rows.with_columns(moments)
        turned = rows.select("row", "answer", turned=is_newest_first()).with_columns(
            place=pl.when("turned").then(-pl.col("row").cast(pl.Int64)).otherwise("row")
        )
        if not turned["turned"].any():
            return rows.with_columns(moments)
        oldest_first = rows[turned.sort("answer", "place")["row"]]
        return oldest_first.with_columns(moments).sort("row")

    def _find_step(self) -> pl.Expr:
        """The most common step of a series (null: it has none), for answers that declare an unheard-of resolution."""
        step = pl.col("label").sort().diff()
        return step.filter(step > pl.duration()).mode().min().over("series")

    def _list_broken_rules(self, rows: pl.DataFrame) -> list[row_rules.ValueRule]:
        """The rules that some value breaks: usually none, so the reasons are not even computed."""
        if not rows.height or not self.rules:
            return []
        marked = any(row_rules.name_fault_column(rule.column) in rows.columns for rule in self.rules)
        refuted = marked or (row_rules.PV in self.powers and row_rules.is_pv_beyond(rows))
        if not refuted and all(rule.is_kept(rows[rule.column]) for rule in self.rules):
            return []
        rules = [
            rule.add_faults() if row_rules.name_fault_column(rule.column) in rows.columns else rule
            for rule in self.rules
        ]
        counts = rows.select(rule.broken.sum().alias(rule.column) for rule in rules).row(0, named=True)
        return [rule for rule in rules if counts[rule.column]]

    def _zero_standby(
        self, cells: pl.DataFrame, broken: list[row_rules.ValueRule]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The cells with 0 for the draw of sleeping inverters, and a finding for each series that has some."""
        generated = {f.value_column for f in self.fields if f.column in row_rules.GENERATED}
        columns = [rule.column for rule in broken if rule.column in generated]
        if not columns:
            return cells, pl.DataFrame(schema=FINDING)
        cells, drawn = row_rules.zero_standby(cells, columns, self.limits)
        return cells, sum_findings(drawn, pl.lit(row_rules.STANDBY), pl.col("column"), pl.col("value"))

    def _number_cells(self, rows: pl.DataFrame, decoded: DecodedBatch) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows, or in a table of arrays their elements, numbered by `cell`; and values that belong to no index."""
        if self.index is None:
            return rows.with_columns(cell=pl.col("row")), pl.DataFrame(schema=BAD_VALUE)
        long, odd = unnest_elements(decoded.rows.with_row_index("row"), list(self.names))
        long = long.rename(self.names | {"index": self.index})
        cells = rows.drop(self.api).join(long, on="row", maintain_order="left_right").with_row_index("cell")
        lost = rows.select("row", "answer", "raw_time").join(odd, on="row", maintain_order="left_right")
        named = lost.with_columns(
            pl.col("field").replace({read: self.api[column] for read, column in self.names.items()}),
            detail=_name_element(pl.col("index")),
            cell=pl.lit(None, pl.UInt32),
        )
        return cells, named.select(*BAD_VALUE)

    def _find_bad_values(self, cells: pl.DataFrame, broken: list[row_rules.ValueRule]) -> pl.DataFrame:
        """cell, answer, raw_time, field, value, detail, reason of each value that breaks a rule."""
        found = [pl.DataFrame(schema=BAD_VALUE)]
        for rule in broken:
            value = pl.col(rule.column)
            text = pl.when(~value.is_finite()).then(value.cast(pl.String))
            named = (
                text
                if self.index is None
                else pl.concat_str(_name_element(pl.col(self.index)), text, separator=": ", ignore_nulls=True)
            )
            found.append(
                cells.filter(rule.broken).select(
                    "cell",
                    "answer",
                    "raw_time",
                    field=pl.lit(self.api[rule.column]),
                    value=pl.when(value.is_finite()).then(value),
                    detail=named,
                    reason=rule.reason,
                )
            )
        return pl.concat(found)

    def _find_unread(self, rows: pl.DataFrame, cells: pl.DataFrame, decoded: DecodedBatch) -> pl.DataFrame:
        """The same of each value that was no number. It has no cell where an array has no such element."""
        # Of a field that may be either, a table of arrays has the elements, the other table the rest.
        of_array = pl.col("index").is_not_null() == (self.index is not None)
        mine = decoded.bad_values.filter(
            pl.col("field").is_in(list(self.api.values())), of_array | ~pl.col("field").is_in(self.either)
        )
        if not mine.height:
            return pl.DataFrame(schema=BAD_VALUE)
        found = rows.select("row", "answer", "raw_time").join(mine, on="row", maintain_order="left_right")
        keys = {"row": "row"} | ({"index": self.index} if self.index else {})
        found = found.join(
            cells.select("cell", *keys.values()),
            left_on=list(keys),
            right_on=list(keys.values()),
            how="left",
            maintain_order="left",
        )
        reason = pl.lit(row_rules.NOT_A_NUMBER)
        return found.with_columns(value=pl.lit(None, pl.Float64), reason=reason).select(*BAD_VALUE)

    def _add_energies(
        self,
        rows: pl.DataFrame,
        cells: pl.DataFrame,
        broken: list[row_rules.ValueRule],
        bad_values: pl.DataFrame,
    ) -> pl.DataFrame:
        """The rows of the model: bad values nulled, intervals and energies added; rows flagged that lost something.

        A row that the vendor merged from two lost one of them; where it is their mean, it is a row of either pass.
        """
        flagged = pl.col("second_end").is_not_null()
        if bad_values.height:
            flagged |= pl.col("cell").is_in(bad_values["cell"].drop_nulls().implode())
        cells = cells.with_columns(
            flagged.alias("flagged"),
            *(pl.when(~rule.broken).then(pl.col(rule.column)).alias(rule.column) for rule in broken),
        ).with_columns(pl.col(f.column) * f.factor for f in self.fields if f.factor != 1)
        # The intervals of elements are those of their row, whichever elements it has.
        spans = cells if self.index is None else rows
        if spans["second_end"].count():
            spans = _repeat_merged_hour(spans) if self.merged_hour == "mean" else _end_merged_hour(spans)
        else:
            spans = spans.with_columns(lost_end=pl.lit(None, UTC_US))
        spans = add_intervals(spans)
        if self.index is not None:
            spans = spans.select("row", *_INTERVAL).join(
                cells.drop("interval_end"), on="row", maintain_order="left_right"
            )
        return add_energies(spans, self.powers)

    def _quarantine_bad(
        self,
        answers: pl.DataFrame,
        decoded: DecodedBatch,
        rows: pl.DataFrame,
        values: pl.DataFrame,
        day: dt.date,
    ) -> Iterator[pl.DataFrame]:
        """Rows of quarantine for what is set aside."""
        where = answers.with_row_index("answer").select("answer", "plant_id", "device_id")
        kinds = {
            "answer": decoded.bad_answers,
            "row": rows.rename({"fault": "reason"}),
            "value": values,
        }
        for scope, found in kinds.items():
            if found.height:
                yield build_quarantine(found.join(where, on="answer"), scope, self.model, day)

    def _quarantine_suspect(
        self, answers: pl.DataFrame, findings: pl.DataFrame, day: dt.date
    ) -> Iterator[pl.DataFrame]:
        """Rows of quarantine for what is kept but suspicious."""
        if findings.height:
            where = answers.with_row_index("answer").select("answer", "plant_id", "device_id")
            named = findings.with_columns(pl.col("field").replace(self.api)).join(where, on="answer")
            yield build_quarantine(named, "rows", self.model, day, kept=True)


@lru_cache
def _build_rules(fields: tuple[Field, ...]) -> list[row_rules.ValueRule]:
    """The rules of a table, whose expressions take longer to build than to use for a day of a small fleet."""
    return row_rules.build_value_rules(fields)


@lru_cache
def _build_suspicions(columns: tuple[str, ...], limits: Thresholds) -> Suspicions:
    """The same of what is only suspicious."""
    return Suspicions.of(columns, limits)


def _build_decoder(measurement_set: MeasurementSet) -> tuple[Decoder, list[str]]:
    """A decoder of all fields of the set, and those of them that are a number in one table and an array in another."""
    arrays = {f.api for f in measurement_set.fields if f.array}
    either = sorted(arrays & {f.api for f in measurement_set.fields if not f.array})
    names = list(dict.fromkeys(f.api for f in measurement_set.fields))
    return Decoder(names, arrays.difference(either), either), either


_INTERVAL = ("interval_start", "interval_end", "interval_basis", "bridged_s")
BAD_VALUE = {
    "cell": pl.UInt32,
    "answer": pl.UInt32,
    "raw_time": pl.String,
    "field": pl.String,
    "value": pl.Float64,
    "detail": pl.String,
    "reason": pl.String,
}


def _repeat_merged_hour(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of one time each: those that are the mean of two passes come once for either."""
    again = rows.filter(pl.col("second_end").is_not_null()).with_columns(interval_end="second_end")
    both = pl.concat([rows, again]).sort("series", "interval_end")
    return both.with_columns(lost_end=pl.lit(None, UTC_US))


def _end_merged_hour(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows, and of those from a merged hour on, where the pass ends that is not known."""
    return rows.with_columns(lost_end=pl.col("second_end").forward_fill().over("series"))


def _name_element(index: pl.Expr) -> pl.Expr:
    """How a detail names the element of an array."""
    return pl.format("index {}", index)


def _parse_labels(raw: pl.Series) -> pl.Series:
    """`label`: `parse_label` of texts that hardly ever have fractions, at a fraction of its cost.

    A fixed format takes the library's fast path, which costs less than to look up what was read before. It reads fewer
    labels, and those the same: the others follow.
    """
    plain = raw.str.to_datetime("%Y-%m-%dT%H:%M:%S", time_unit="us", strict=False, cache=False).alias("label")
    if plain.null_count() == raw.null_count():
        return plain
    others = parse_label(pl.when(pl.col("label").is_null()).then("raw"))
    return pl.DataFrame({"raw": raw, "label": plain}).select(pl.coalesce("label", others)).to_series()
