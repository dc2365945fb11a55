"""A day in two small pictures for the page of Dagster: the fleet's power by the clock, and what each plant made of it.

Written as SVG by hand: a run draws some for each of its days, and matplotlib would take longer than the day's energy.
"""

import datetime as dt
from base64 import b64encode
from collections.abc import Iterable

import polars as pl

from pipeline.common.text import pluralize
from pipeline.report.palette import GAP_LINE, INK, LOAD, MUTED, PAPER, SUN

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 200, 72, 20, 24, 22
HOURS = 24
QUARTERS_OF_HOUR, QUARTER_MIN = 4, 15
# More bars than that are no bars any more: then each stands for several plants.
BARS = 100
POWERS = {"pv_generation_w": ("PV generation", SUN.light), "total_consumption_w": ("Consumption", LOAD.light)}
# Best first. Red is for what is not there: no other picture needs it.
STATUSES = {"complete": LOAD.light, "provisional": GAP_LINE.light, "partial": SUN.light, "missing": "#b3261e"}


def sum_power_by_clock(intervals: pl.DataFrame, bounds: pl.DataFrame) -> pl.DataFrame:
    """quarter (0 is the first after local midnight) and the fleet's mean power in it, in kW, by quantity.

    `intervals` has plant_id, interval_start, interval_end and powers in W; `bounds` has plant_id and day_start (UTC).
    A plant counts in a quarter with the interval that begins in it; longer ones count in all quarters that they cover.
    """
    length = pl.col("interval_end") - pl.col("interval_start")
    since = pl.col("interval_start") - pl.col("day_start")
    first = since.dt.total_minutes() // QUARTER_MIN
    count = pl.max_horizontal(length.dt.total_minutes() // QUARTER_MIN, 1)
    placed = intervals.join(bounds.select("plant_id", "day_start"), on="plant_id").with_columns(
        quarter=pl.int_ranges(first, first + count)
    )
    by_plant = placed.explode("quarter").group_by("plant_id", "quarter").agg(pl.col(*POWERS).mean() / 1000)
    return add_powers([by_plant.drop("plant_id")])


def add_powers(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The powers of parts of a fleet by the clock, each as `sum_power_by_clock` gives it, as those of the whole."""
    known = (pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in POWERS)
    return pl.concat(parts).group_by("quarter").agg(known).sort("quarter")


def draw_day_picture(power: pl.DataFrame, day: dt.date) -> str:
    """The fleet's power over the day as the text of an SVG."""
    top = _round_up(power.select(pl.max_horizontal(pl.col(*POWERS).max())).item())
    last = max(HOURS * QUARTERS_OF_HOUR, power.select(pl.col("quarter").max().fill_null(0)).item() + 1)
    parts = list(_draw_frame(f"{day}: power of the fleet by the plants' own clocks", f"{top:g} kW"))
    parts += [
        _draw_text(_place_across(hour * QUARTERS_OF_HOUR, last), HEIGHT - 6, f"{hour}:00", "middle")
        for hour in range(0, HOURS + 1, 6)
    ]
    for place, (name, (label, colour)) in enumerate(POWERS.items()):
        line = _draw_path(power["quarter"], power[name], last, top)
        parts.append(f'<path d="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        parts.append(_draw_text(WIDTH - RIGHT, TOP + 12 + 14 * place, label, "end", colour))
    return _join_svg(parts)


def draw_fleet_picture(daily: pl.DataFrame, day: dt.date) -> str:
    """What each plant made per kW, best first, coloured by its status, as the text of an SVG.

    `daily` has status, pv_generation_kwh and peak_power_kw. Plants without peak power or figure come last, as lines.
    """
    yields = pl.col("pv_generation_kwh") / pl.when(pl.col("peak_power_kw") > 0).then("peak_power_kw")
    order = pl.col("status").replace_strict(list(STATUSES), range(len(STATUSES)), default=0)
    ranked = daily.with_columns(made=yields, order=order).sort(
        "made", "order", descending=True, nulls_last=True
    )
    each = -(-ranked.height // BARS) or 1
    bars = ranked.with_row_index().group_by(pl.col("index") // each, maintain_order=True)
    found = bars.agg(pl.col("made").mean(), pl.col("order").max()).rows()
    top = _round_up(max((made or 0 for _, made, _ in found), default=0))
    several = f", each bar {each} plants" if each > 1 else ""
    parts = list(
        _draw_frame(f"{day}: {pluralize(ranked.height, 'plant')} by yield{several}", f"{top:g} kWh/kW")
    )
    colours, wide = list(STATUSES.values()), (WIDTH - LEFT - RIGHT) / max(len(found), 1)
    for place, made, worst in found:
        tall = max((made or 0) / top * (HEIGHT - TOP - BOTTOM), 2)
        parts.append(
            f'<rect x="{LEFT + place * wide:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{max(wide - 1, 0.5):.1f}" '
            f'height="{tall:.1f}" fill="{colours[worst]}"/>'
        )
    counts = dict(daily["status"].value_counts().rows())
    for place, (status, colour) in enumerate(STATUSES.items()):
        parts.append(
            _draw_text(LEFT + 120 * place, HEIGHT - 6, f"{counts.get(status, 0)} {status}", "start", colour)
        )
    return _join_svg(parts)


def embed_in_markdown(svg: str, words: str) -> str:
    """The picture as an image of Markdown that needs no server."""
    return f"![{words}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"


def _join_svg(parts: Iterable[str]) -> str:
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11"'
    paper = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER.light}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{paper}{"".join(parts)}</svg>'


def _draw_frame(title: str, top: str) -> Iterable[str]:
    yield _draw_text(8, 14, title, "start", INK.light)
    yield _draw_text(LEFT - 4, TOP + 10, top, "end")
    yield _draw_text(LEFT - 4, HEIGHT - BOTTOM, "0", "end")
    for y in (TOP, HEIGHT - BOTTOM):
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{MUTED.light}" stroke-width="0.5"/>'


def _draw_text(x: float, y: float, words: str, anchor: str, colour: str = MUTED.light) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def _place_across(quarter: float, last: int) -> float:
    return LEFT + quarter / last * (WIDTH - LEFT - RIGHT)


def _draw_path(quarters: pl.Series, values: pl.Series, last: int, top: float) -> str:
    """A line through the values, broken where one is null or a quarter is absent."""
    words, before = [], None
    for quarter, value in zip(quarters, values, strict=True):
        if value is None:
            continue
        move = "L" if before is not None and quarter == before + 1 else "M"
        high = HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)
        words.append(f"{move}{_place_across(quarter + 0.5, last):.1f} {high:.1f}")
        before = quarter
    return "".join(words)


def _round_up(value: float | None) -> float:
    """A round number at or above the value."""
    if not value or value <= 0:
        return 1.0
    step = 10.0 ** (len(str(int(value))) - 1) if value >= 1 else 0.1
    return float(-(-value // step) * step)
