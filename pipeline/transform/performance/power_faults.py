"""Which powers can't be, of whatever quantity: codes for "no value", and what rating, row or series refute.

Frames in, frames out. A load has no bound of its own: a car, a crane or a factory takes what it takes. So a value is
set aside where two things speak against it: it is large for the size of its plant, and the rest of its row or of its
day says otherwise. Almost no row comes so far; the others cost one comparison a value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pipeline.transform import row_rules
from pipeline.transform.thresholds import Thresholds
from schemas.base import FINITE
from schemas.quantities import Field

# The ends of numbers of 32 bits, by which a device says that it has no value, as they are and in tenths to thousandths:
# no power is so by chance. (As a float of 32 bits the largest one is the next even number.)
CODES_32_BITS: Final = [
    code / unit for code in (2**31 - 1, 2**31, 2**32 - 1, 2**32) for unit in (1, 10, 100, 1000)
]
# The ends of numbers of 16 bits, as they are and in units of up to a kilowatt. A large plant may really say so.
CODES_16_BITS: Final = [
    float(code * unit) for code in (2**15 - 1, 2**15, 2**16 - 1) for unit in (1, 10, 100, 1000)
]
# A large plant does not hit such a number to the last digit this often on one day.
HITS_OF_A_CODE: Final = 3
# This many rows of a day, or this share of them, may be wrong in the same way. The power that all others stay below is
# the usual one.
ODD_ROWS, ODD_SHARE = 3, 0.01
# For a plant whose size is not known, fewer rows prove nothing, because the first rows of a morning grow from zero.
ROWS_OF_UNKNOWN: Final = 24
# What flows in and out again in one row, or in two rows one after the other, is the same to these shares.
SAME_ROW, NEXT_ROW = 0.1, 0.01
# A sum that holds a wrong value is at least this share of it, and the value that share of the sum.
PART_OF_A_SUM: Final = 0.8
# Wh of an interval: the first row after a hole may hold the energy of a whole day.
HOURS_OF_AN_ENERGY: Final = 24.0
# Quantities that an inverter's own rating bounds, and those that it bounds on its DC side.
AC_SIDE: Final = ("active_power", "reactive_power", "apparent_power")
DC_SIDE: Final = ("dc_power_input", "dc_energy_input")
# The powers of EnergyBalance.
_BALANCE: Final = (
    "pv_generation",
    "total_generation",
    "diesel_generation",
    "direct_consumption",
    "self_consumption",
    "self_supply",
    "total_consumption",
    "grid_feed_in",
    "grid_consumption",
    "battery_charging",
    "battery_discharging",
)
# What a site takes, through a connection that is larger than its plant.
LOADS: Final = (
    "total_consumption_w",
    "self_supply_w",
    "grid_consumption_w",
    "battery_charging_w",
    "battery_discharging_w",
)
# The column of what a row says of a power, codes left out.
SAID: Final = "_said"
FLAGS: Final = ("certain", "code", "rated", "both_ways", "refuted", "large")
_FAULT = {"cell": pl.UInt32, "column": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class PowerRules:
    """The rules for those columns of one table that have no bound of their own.

    `keys` name a series of values: `series`, and in a table of arrays the index. `signed` are columns of either sign,
    `energies` those in Wh.
    """

    columns: tuple[str, ...]
    signed: frozenset[str]
    energies: frozenset[str]
    keys: tuple[str, ...]
    limits: Thresholds

    @classmethod
    def of(cls, fields: Sequence[Field], keys: Sequence[str], limits: Thresholds) -> "PowerRules":
        """The rules for a table with these fields."""
        without_bound = [f for f in fields if f.high >= FINITE]
        return cls(
            tuple(f.value_column for f in without_bound),
            frozenset(f.value_column for f in without_bound if f.low < 0),
            frozenset(f.value_column for f in without_bound if f.value_column.endswith("_kwh")),
            tuple(keys),
            limits,
        )

    def mark(self, cells: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        """The cells with `<column>_fault`, the reason or null, for each column that has a fault.

        `cells` are sorted by series and time: cell, answer, the keys, rated_w, size_w, own_w and the columns, in the
        API's units. `answers` are rows of `bounds.sited`, which `answer` counts.
        """
        found = self.find(cells, answers)
        for (column,), faults in found.partition_by("column", as_dict=True, maintain_order=True).items():
            named = faults.select("cell", pl.col("reason").alias(row_rules.name_fault_column(str(column))))
            cells = cells.join(named, on="cell", how="left", maintain_order="left")
        return cells

    def find(self, cells: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        """cell, column and reason of each value that can't be; `cells` and `answers` are as for `mark`."""
        none = pl.DataFrame(schema=_FAULT)
        if not self.columns or not cells.height:
            return none
        any_large = pl.any_horizontal(self._is_large(column) for column in self.columns)
        large = cells.select(any_large.fill_null(value=False)).to_series()
        codes = self._find_codes(cells)
        if codes is None and not large.any():
            return none
        some = cells.with_columns(place=pl.int_range(pl.len())).filter(
            large if codes is None else large | codes
        )
        some = some.hstack(answers.select("is_sized")[some["answer"]])
        values = self._unpivot_values(some)
        odd = values.filter(pl.any_horizontal(FLAGS))
        if not odd.height:
            return none
        usual = self._find_usual(cells, odd)
        faults = self._judge_values(odd, usual)
        derived = self._find_derived(values, faults, usual)
        return pl.concat([faults, derived]).select(*_FAULT)

    def _is_large(self, column: str) -> pl.Expr:
        """Whether a row's power is large for its site or inverter: no other one but a code needs a closer look."""
        size = pl.col("size_w")
        if column.startswith(AC_SIDE):
            size = pl.min_horizontal(size, "own_w")
        return self._measure_amount(column) > size * self.limits.beyond_rated_times

    def _find_codes(self, cells: pl.DataFrame) -> pl.Series | None:
        """Which rows have a code in some column; None for no row, which is distinguished without looking at each."""
        codes = [*CODES_32_BITS, *CODES_16_BITS]
        # Most columns have nothing so large, which their largest value tells at a tenth of the cost.
        reaching = [column for column in self.columns if self._reaches(cells[column], min(codes))]
        if not reaching:
            return None
        amounts = {column: self._measure_amount(column) for column in reaching}
        found = cells.select(
            amount.filter(amount >= min(codes)).is_in(codes).any().alias(column)
            for column, amount in amounts.items()
        ).row(0, named=True)
        having = [amounts[column].is_in(codes) for column, some in found.items() if some]
        if not having:
            return None
        return cells.select(pl.any_horizontal(having).fill_null(value=False)).to_series()

    def _reaches(self, values: pl.Series, amount: float) -> bool:
        """Whether some value is of so large an amount."""
        most: Any = values.max()
        least: Any = values.min() if values.name in self.signed else None
        return (most is not None and most >= amount) or (least is not None and -least >= amount)

    def _measure_amount(self, column: str) -> pl.Expr:
        return pl.col(column).abs() if column in self.signed else pl.col(column)

    def _unpivot_values(self, some: pl.DataFrame) -> pl.DataFrame:
        """The values of these rows, one a row, with a flag for each thing that speaks against it."""
        is_code = {c: self._measure_amount(c).is_in([*CODES_32_BITS, *CODES_16_BITS]) for c in self.columns}
        concerned = some.select((self._is_large(c) | is_code[c]).any().alias(c) for c in self.columns)
        # A code says nothing about the rest of its row.
        said = {f"{c}{SAID}": pl.when(~is_code[c]).then(c) for c in self.columns}
        some = some.with_columns(**said)
        allowed = _derive_allowed(some.columns)
        ways = _flows_both_ways(some.columns, self.limits)
        return pl.concat(
            [
                self._flag_values(some, column, allowed.get(column), ways.get(column))
                for column, is_concerned in concerned.row(0, named=True).items()
                if is_concerned
            ]
        )

    def _flag_values(
        self, some: pl.DataFrame, column: str, allowed: pl.Expr | None, both_ways: pl.Expr | None
    ) -> pl.DataFrame:
        """The values of one column with their flags.

        `allowed` is the most that the rest of a row allows; `both_ways` says whether the row has the same flow back.
        """
        hours = HOURS_OF_AN_ENERGY if column in self.energies else 1.0
        beyond = pl.col("amount") > pl.col("size_w") * self.limits.beyond_rated_times
        sizes = pl.col("amount") / (pl.col("size_w") * hours)
        no = pl.lit(value=False)
        flags = {
            "certain": pl.col("amount").is_in(CODES_32_BITS),
            "code": pl.col("amount").is_in(CODES_16_BITS),
            "rated": self._is_beyond_rating(column, hours),
            "both_ways": no if both_ways is None else beyond & both_ways,
            "refuted": no if allowed is None else beyond & self._is_refuted(column, allowed),
            "large": sizes > self.limits.beyond_size_times,
            "beyond": beyond,
            # A factory of megawatts may have a panel on its porch.
            "huge": sizes > self.limits.beyond_size_times**2,
        }
        amount = self._measure_amount(column)
        return some.with_columns(amount=pl.when(amount.is_finite()).then(amount)).select(
            "cell",
            *self.keys,
            "rated_w",
            "size_w",
            "is_sized",
            "amount",
            *(flag.fill_null(value=False).alias(name) for name, flag in flags.items()),
            column=pl.lit(column),
        )

    def _is_beyond_rating(self, column: str, hours: float) -> pl.Expr:
        """Whether a value is beyond the rating of its own device, for columns that such a rating bounds."""
        if column.startswith(DC_SIDE):
            bound = pl.col("size_w") * self.limits.beyond_rated_times * hours
            return pl.col("is_sized") & (pl.col("amount") > bound)
        if column.startswith(AC_SIDE):
            return pl.col("amount") > pl.col("own_w") * self.limits.beyond_rated_times
        return pl.lit(value=False)

    def _is_refuted(self, column: str, allowed: pl.Expr) -> pl.Expr:
        """Whether a value is far beyond what the rest of its row allows, and a load beyond what a site connects too."""
        refuted = pl.col("amount") > allowed * self.limits.beyond_balance_times
        if column in LOADS:
            refuted &= pl.col("amount") > self.limits.connection_w
        return refuted

    def _find_usual(self, cells: pl.DataFrame, odd: pl.DataFrame) -> pl.DataFrame:
        """What each column of the series in `odd` says on its day: n_usual, usual and most, codes left out."""
        amount = pl.col("amount")
        is_code = amount.is_in([*CODES_32_BITS, *CODES_16_BITS])
        rank = pl.max_horizontal(pl.lit(ODD_ROWS), (pl.len() * ODD_SHARE).floor().cast(pl.Int64))
        return (
            cells.join(odd.select(self.keys).unique(), on=self.keys, how="semi")
            .select(*self.keys, *(self._measure_amount(column) for column in self.columns))
            .unpivot(self.columns, index=self.keys, variable_name="column", value_name="amount")
            .filter(amount.is_finite(), ~is_code)
            .group_by(*self.keys, "column")
            .agg(
                pl.len().alias("n_usual"),
                amount.sort(descending=True).get(rank, null_on_oob=True).alias("usual"),
                amount.max().alias("most"),
            )
        )

    def _judge_values(self, odd: pl.DataFrame, usual: pl.DataFrame) -> pl.DataFrame:
        """The values that can't be, with the reason: what speaks against a value must hold against its day too."""
        series = [*self.keys, "column"]
        amount, limits = pl.col("amount"), self.limits
        hits = pl.len().over(*series, "amount")
        most = pl.col("most").fill_null(0.0)
        # Where the day has too few other values to tell, a code may be what a large plant makes.
        few = pl.col("n_usual").fill_null(0) <= ODD_ROWS
        tells = pl.col("n_usual").fill_null(0) >= ROWS_OF_UNKNOWN
        likely = pl.when(few).then(pl.max_horizontal(most, "rated_w")).otherwise(most)
        beyond_day = amount > pl.col("usual").fill_null(0.0) * limits.beyond_balance_times
        alone = amount > pl.col("usual").fill_null(0.0) * limits.beyond_series_times
        is_code = pl.col("certain") | pl.col("code") & (
            (hits >= HITS_OF_A_CODE) | (amount > likely * limits.code_times_most)
        )
        reason = (
            pl.when(is_code)
            .then(pl.lit(row_rules.SENTINEL))
            .when("rated")
            .then(pl.lit(row_rules.BEYOND))
            .when(pl.col("both_ways") & beyond_day)
            .then(pl.lit(row_rules.IN_AND_OUT))
            .when(pl.col("refuted") & (beyond_day | pl.col("large")))
            .then(pl.lit(row_rules.BEYOND_BALANCE))
            .when(pl.col("large") & alone & pl.when("is_sized").then(~few | pl.col("huge")).otherwise(tells))
            .then(pl.lit(row_rules.BEYOND_SERIES))
        )
        return (
            odd.join(usual, on=series, how="left", maintain_order="left")
            .with_columns(reason=reason)
            .filter(pl.col("reason").is_not_null())
            .select("cell", "column", "amount", "reason")
        )

    def _find_derived(self, values: pl.DataFrame, faults: pl.DataFrame, usual: pl.DataFrame) -> pl.DataFrame:
        """What the portal added up from a wrong value of the same row."""
        least = faults.group_by("cell").agg(
            pl.col("amount").min().alias("wrong"), pl.col("reason").first().alias("reason")
        )
        amount = pl.col("amount")
        return (
            values.filter("beyond")
            .join(faults, on=["cell", "column"], how="anti")
            .join(least, on="cell", how="inner")
            .join(usual, on=[*self.keys, "column"], how="left")
            .filter(
                amount.is_between(pl.col("wrong") * PART_OF_A_SUM, pl.col("wrong") / PART_OF_A_SUM),
                pl.col("n_usual") > ODD_ROWS,
                amount > pl.col("usual").fill_null(0.0) * self.limits.beyond_balance_times,
            )
            .select("cell", "column", "amount", "reason")
        )


def _derive_allowed(columns: Sequence[str]) -> dict[str, pl.Expr]:
    """What the other powers of a row of EnergyBalance leave to each: null where they don't say.

    The identities are the vendor's; that nothing comes out that went nowhere in is true of any plant.
    """
    if "total_generation_w" not in columns or "grid_feed_in_w" not in columns:
        return {}
    power = {name: pl.col(f"{name}_w{SAID}") for name in _BALANCE}
    # A plant without a battery or diesel has no such key.
    charging, discharging, diesel = (
        pl.when(pl.col(f"{name}_w").is_null()).then(0.0).otherwise(power[name])
        for name in ("battery_charging", "battery_discharging", "diesel_generation")
    )
    # PV and diesel need not add up to the total generation.
    known = power["pv_generation"] + diesel
    generation = pl.max_horizontal(power["total_generation"], known)
    allowed = {
        "total_generation": pl.coalesce(power["self_consumption"] + power["grid_feed_in"], known),
        "self_consumption": power["total_generation"],
        "direct_consumption": pl.min_horizontal(generation, power["total_consumption"]),
        "grid_feed_in": generation + discharging,
        "self_supply": pl.min_horizontal(power["total_consumption"], generation + discharging),
        "total_consumption": power["self_supply"] + power["grid_consumption"],
        "grid_consumption": power["total_consumption"] + charging,
        "battery_charging": generation + power["grid_consumption"],
        "battery_discharging": power["total_consumption"] + power["grid_feed_in"],
    }
    return {f"{name}_w": expr for name, expr in allowed.items()}


def _flows_both_ways(columns: Sequence[str], limits: Thresholds) -> dict[str, pl.Expr]:
    """Whether as much flows out as in: in the same row or, at the grid, in two rows one after the other.

    What the rest of a row of EnergyBalance explains is none: a battery that trades both ways in an hour.
    """

    def flow(*names: str) -> pl.Expr:
        known = [pl.col(f"{name}{SAID}").fill_null(0.0) for name in names if name in columns]
        return pl.sum_horizontal(known or [pl.lit(0.0)]) * limits.beyond_balance_times

    found: dict[str, pl.Expr] = {}
    feed_in, taken = "grid_feed_in_w", "grid_consumption_w"
    if feed_in in columns and taken in columns:
        out, back = (pl.col(f"{name}{SAID}") for name in (feed_in, taken))
        odd = out > flow("pv_generation_w", "diesel_generation_w", "battery_discharging_w")
        same = odd & _is_same(out, back, SAME_ROW)
        found = {feed_in: same, taken: same}
        for step in (1, -1):
            near = pl.all_horizontal(
                pl.col("place") - step == pl.col("place").shift(step),
                pl.col("series") == pl.col("series").shift(step),
            )
            found[feed_in] |= near & odd & _is_same(out, back.shift(step), NEXT_ROW)
            found[taken] |= near & odd.shift(step) & _is_same(back, out.shift(step), NEXT_ROW)
    charging, discharging = "battery_charging_w", "battery_discharging_w"
    if charging in columns and discharging in columns:
        into, out = (pl.col(f"{name}{SAID}") for name in (charging, discharging))
        of_site = into > flow("pv_generation_w", "diesel_generation_w", taken)
        to_site = out > flow("total_consumption_w", feed_in)
        same = (of_site | to_site) & _is_same(into, out, SAME_ROW)
        found |= {charging: same, discharging: same}
    return found


def _is_same(one: pl.Expr, other: pl.Expr, share: float) -> pl.Expr:
    return ((one - other).abs() <= one.abs() * share).fill_null(value=False)
