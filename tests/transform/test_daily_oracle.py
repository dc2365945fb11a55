"""Any day equals an oracle that goes by the text of the rules, minute by minute."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.transform.coverage import OF_THE_SUN
from pipeline.transform.daily import DECISIVE, METERED, summarize_day
from pipeline.transform.thresholds import load_thresholds
from tests.transform.answers import examples
from tests.transform.plant_day import QUANTITIES, Asked, Span, asked, frame

NIGHT_W = load_thresholds().night_w


@dataclass(frozen=True)
class Cover:
    """Expected and covered minutes, and the largest gap, of the spans that count."""

    expected: int
    covered: int
    gap: float

    @property
    def holed(self) -> bool:
        return self.gap > 0 or (self.expected > 0 and self.covered == 0)


def cover(spans: Sequence[Span], known: Asked, *, metered: bool, ends: Sequence[Span]) -> Cover:
    """By the rules' text, in minutes; `ends` are the day's first and last rows with a value."""
    day_end = known.hours * 60
    begin, finish = 0, day_end
    if not metered and known.sunrise is not None and known.sunset is not None:
        begin, finish = max(known.sunrise, 0), min(known.sunset, day_end)
    elif not metered and ends:
        begin, finish = ends[0].begin, ends[-1].end
    begin = max(begin, known.start_up or 0)
    finish = max(min(finish, day_end if known.ended is None else known.ended), begin)
    minutes = set(range(begin, finish))
    covered = {minute for span in spans for minute in range(span.begin, span.end)} & minutes
    gaps, edge = [0], 0 if metered else 60
    if spans:
        gaps.append(min(spans[0].begin, finish) - begin - edge)
        gaps += [
            min(later.begin, finish) - max(earlier.end, begin)
            for earlier, later in zip(spans, spans[1:], strict=False)  # noqa: RUF007 - one look at pairs
        ]
        gaps.append(finish - max(spans[-1].end, begin) - edge)
    else:
        gaps.append(finish - begin)
    return Cover(len(minutes), len(covered), float(max(gaps)))


def status_of(found: Cover, rows: int, known: Asked, *, holes: bool = False) -> str:
    if not known.final:
        return "provisional"
    if not rows:
        return "missing"
    return "partial" if found.holed or holes else "complete"


def shown(found: Cover, rows: int, flagged: int) -> dict[str, object]:
    return {
        "expected_h": found.expected / 60,
        "covered_h": found.covered / 60,
        "coverage": found.covered / found.expected if found.expected else None,
        "largest_gap_min": found.gap,
        "n_rows": rows,
        "n_flagged": flagged,
    }


def lost_pv(spans: Sequence[Span], known: Asked) -> list[Span]:
    """The rows whose PV generation was set aside, by the rule's text: where a neighbour that is whole has one.

    It has to be light, too: from an hour before sunrise to an hour after sunset.
    """

    def whole_neighbours(at: int) -> list[Span]:
        before = [span for span in spans[:at] if not span.flagged]
        after = [span for span in spans[at:] if not span.flagged]
        return before[-1:] + after[:1]

    def is_dark(span: Span) -> bool:
        if known.sunrise is not None and span.end <= known.sunrise - 60:
            return True
        return known.sunset is not None and span.begin >= known.sunset + 60

    return [
        span
        for at, span in enumerate(spans)
        if span.flagged and "pv_generation" not in span.watts and not is_dark(span)
        if not (whole := whole_neighbours(at)) or any("pv_generation" in each.watts for each in whole)
    ]


def expected(spans: Sequence[Span], known: Asked) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
    """The day's figures and those of each quantity."""
    holes = lost_pv(spans, known)
    valued = [span for span in spans if span.watts and span not in holes]
    metered = any(name in METERED for span in spans for name in span.watts)
    quantities = {}
    holed = False
    for name in {name for span in spans for name in span.watts} | set(known.expects):
        own = [span for span in spans if name in span.watts]
        lost = sum(span.flagged for span in spans) - sum(span.flagged for span in own) if own else 0
        awake = name != "pv_generation" and (metered or not own)
        found = cover(own, known, metered=awake, ends=valued if own else [])
        quantities[name] = shown(found, len(own), lost) | {"status": status_of(found, len(own), known)}
        holed |= bool(own) and name in DECISIVE and found.holed
    day = cover(valued, known, metered=metered, ends=valued)
    status = status_of(day, len(spans), known, holes=holed)
    return shown(day, len(spans), sum(span.flagged for span in spans)) | {"status": status}, quantities


def of_the_night(own: Sequence[Span], known: Asked, name: str) -> bool:
    """By the rule's text, in minutes: none of the values of what the sun makes is of the daylight, nor is one real."""
    if name not in OF_THE_SUN or any(span.watts[name] > NIGHT_W for span in own):
        return False
    noon = known.hours * 30
    begin = noon - 120 if known.sunrise is None else known.sunrise
    finish = noon + 120 if known.sunset is None else known.sunset
    begin = max(begin, 0, known.start_up or 0)
    finish = min(finish, known.hours * 60, known.hours * 60 if known.ended is None else known.ended)
    if finish - begin > 120:
        begin, finish = begin + 60, finish - 60
    lit = set(range(begin, finish))
    return bool(lit) and not lit & {minute for span in own for minute in range(span.begin, span.end)}


watts = st.one_of(st.floats(0, 1e5), st.sampled_from([0.0, 5.0, NIGHT_W]))
powers = st.dictionaries(st.sampled_from(["pv_generation", "battery_charging"]), watts, max_size=2)
metered_powers = st.dictionaries(st.sampled_from(["pv_generation", "grid_feed_in"]), watts, max_size=2)


@st.composite
def plant_days(draw: st.DrawFn) -> tuple[list[Span], Asked]:
    hours = draw(st.sampled_from([23, 24, 25]))
    sunrise, length = draw(st.integers(-60, 800)), draw(st.integers(0, 1500))
    sun = draw(st.sampled_from([(None, None), (sunrise, sunrise + length)]))
    start_up = draw(st.sampled_from([None, None, -5000, 300, 1200]))
    ended = draw(st.sampled_from([None, None, None, 500, 1000]))
    expects = draw(st.sampled_from([("pv_generation",), DECISIVE]))
    final = draw(st.integers(0, 5)) > 0
    known = Asked(*sun, start_up=start_up, ended=ended, final=final, hours=hours, expects=expects)
    kind = draw(st.sampled_from([powers, metered_powers]))
    cuts = sorted(draw(st.sets(st.integers(0, hours * 60), max_size=24)))
    kept = draw(st.lists(st.booleans(), min_size=len(cuts), max_size=len(cuts)))
    pairs = zip(cuts, cuts[1:], kept, strict=False)
    return [
        Span(low, high, draw(kind), draw(st.integers(0, 9)) == 0) for low, high, keep in pairs if keep
    ], known


DRAWN_FLEETS = given(st.lists(plant_days(), min_size=1, max_size=6), st.integers(1, 40))


@examples(25, shrink=False)
@DRAWN_FLEETS
def test_every_figure_equals_the_oracle_however_the_rows_are_cut(
    drawn: list[tuple[list[Span], Asked]], size: int
) -> None:
    compare_with_oracle(drawn, size)


@pytest.mark.long
@examples(120, shrink=False)
@DRAWN_FLEETS
def test_every_figure_of_many_fleets_equals_the_oracle(
    drawn: list[tuple[list[Span], Asked]], size: int
) -> None:
    compare_with_oracle(drawn, size)


def compare_with_oracle(drawn: list[tuple[list[Span], Asked]], size: int) -> None:
    plants = {str(number): day for number, day in enumerate(drawn)}
    rows = pl.concat([frame(spans, plant) for plant, (spans, _) in plants.items()])
    known = asked(**{plant: day for plant, (_, day) in plants.items()})
    cut = [rows[at : at + size] for at in range(0, rows.height, size)]
    table, named = summarize_day(cut, known, keys=["plant_id"], quantities=QUANTITIES)
    whole = summarize_day([rows], known, keys=["plant_id"], quantities=QUANTITIES)
    assert table.equals(whole.rows)
    assert named.equals(whole.quantities)
    assert table["plant_id"].to_list() == list(plants)
    for found, (spans, day) in zip(table.rows(named=True), plants.values(), strict=True):
        of_day, of_quantities = expected(spans, day)
        mine = {
            each["quantity"]: each for each in named.rows(named=True) if each["plant_id"] == found["plant_id"]
        }
        assert mine.keys() == of_quantities.keys()
        for quantity, values in of_quantities.items():
            for name, value in values.items():
                close = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
                assert mine[quantity][name] == close, (quantity, name)
            assert mine[quantity]["energy_kwh"] == found[f"{quantity}_kwh"]
        for name, value in of_day.items():
            assert found[name] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), (
                name
            )
        for name in QUANTITIES:
            own = [span for span in spans if name in span.watts]
            if of_the_night(own, day, name):
                own = []
            energy = sum(Fraction(span.watts[name]) * (span.end - span.begin) / 60_000 for span in own)
            assert found[f"{name}_kwh"] == (pytest.approx(float(energy), rel=1e-12) if own else None)
            hours = sum(span.end - span.begin for span in own) / 60
            assert found[f"{name}_covered_h"] == (pytest.approx(hours, rel=1e-12) if own else None)
