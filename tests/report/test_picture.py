"""The picture of a month: well-formed, the same bytes each time, every name harmless, right in the dark."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import matplotlib as mpl
import polars as pl
import pytest

from pipeline.report.palette import HEAT, INK, LOAD, MUTED, NIGHT, PAPER, ROLES, SUN, SUN_PALE
from pipeline.report.picture import draw_month_picture

Rows = Callable[..., pl.DataFrame]

SVG = "{http://www.w3.org/2000/svg}"
OCTOBER = date(2021, 10, 1)


def parsed(svg: str) -> Element:
    return fromstring(svg)  # noqa: S314 - our own text


def draw(days: pl.DataFrame, intervals: pl.DataFrame, name: str = "Roof", month: date = OCTOBER) -> str:
    return draw_month_picture(days, intervals, plant_name=name, timezone="Australia/Brisbane", month=month)


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in parsed(svg).iter(f"{SVG}text")]


def painted(svg: str, colour: str) -> list[Element]:
    """Elements with that fill."""
    return [node for node in parsed(svg).iter() if f"fill: {colour}" in node.get("style", "")]


@pytest.fixture
def whole(day_rows: Rows, interval_rows: Rows) -> str:
    return draw(day_rows({day: 10.0 + day for day in range(1, 32)}), interval_rows(list(range(1, 32))))


def test_it_says_what_it_shows(whole: str) -> None:
    root = parsed(whole)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert title == "Roof: PV energy in October 2021"
    assert description is not None
    assert "806.000 kWh in all, most on day 31 with 41.000 kWh; 31 of 31 days read" in description
    assert root.get("aria-labelledby") == next(root.iter(f"{SVG}title")).get("id")
    assert root.get("aria-describedby") == next(root.iter(f"{SVG}desc")).get("id")
    shown = texts(whole)
    for text in (
        "Roof",
        "806.000 kWh",
        "October 2021 · clock of Australia/Brisbane",
        "PV energy by day, kWh",
    ):
        assert text in shown
    assert "31 of 31 days measured · coverage 100 %" in shown


def test_it_is_one_element_that_asks_the_network_for_nothing(whole: str) -> None:
    assert whole.startswith("<svg")
    assert whole.endswith("</svg>\n")
    without_names_of_formats = re.sub(r'xmlns(:\w+)?="[^"]*"', "", whole)
    assert "http" not in without_names_of_formats
    assert "<image" not in whole
    assert "@import" not in whole
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", whole))


def test_a_bar_for_each_day_and_a_tile_for_each_hour(whole: str) -> None:
    # 31 bars and the swatch of the legend.
    assert len(painted(whole, SUN.light)) == 32
    tiles = sum(
        node.get("d", "").count("z") for colour in (NIGHT, *HEAT) for node in painted(whole, colour.light)
    )
    swatches = 1 + len([c for c in HEAT if painted(whole, c.light)])
    assert tiles == 31 * 24 + swatches


def test_days_that_are_not_whole_are_told_apart_and_named(day_rows: Rows, interval_rows: Rows) -> None:
    days = day_rows(
        {1: 10.0, 2: 5.0, 3: None, 4: 7.0},
        {
            2: {"status": "partial", "coverage": 0.839, "covered_h": 10.068},
            3: {"status": "missing", "coverage": 0.0, "covered_h": 0.0},
            4: {"status": "provisional", "coverage": 1.0},
        },
    )
    svg = draw(days, interval_rows([1, 2, 4]))
    shown = texts(svg)
    for label in ("complete", "partial", "no value", "may still change", "not read"):
        assert label in shown
    assert "PV energy by day, kWh; above a bar: % covered" in shown
    assert "83" in shown
    assert "3 of 31 days measured · coverage 70.9 %" in shown
    # Not by colour alone: one hatching each for partial, provisional and missing, and none for complete.
    patterns = list(parsed(svg).iter(f"{SVG}pattern"))
    assert len(patterns) == 3
    assert len({node.find(f"{SVG}path").get("d") for node in patterns}) == 3  # type: ignore[union-attr]
    assert painted(svg, SUN.light)
    assert any(SUN_PALE.light in (rect.get("fill") or "") for rect in parsed(svg).iter(f"{SVG}rect"))


def test_a_day_is_hatched_by_its_status_and_not_by_its_coverage(day_rows: Rows, interval_rows: Rows) -> None:
    days = day_rows(
        {1: 10.0, 2: 10.0},
        {1: {"coverage": 0.998, "covered_h": 11.976}, 2: {"status": "partial", "coverage": 0.57}},
    )
    shown = texts(draw(days.head(1), interval_rows([1])))
    assert "complete" in shown
    assert not {"partial", "99"} & set(shown)
    assert "1 of 31 days measured · coverage 99.8 %" in shown
    assert "57" in texts(draw(days, interval_rows([1, 2])))


def test_a_whole_month_needs_no_other_legend(whole: str) -> None:
    assert not {"partial", "no value", "may still change", "not read"} & set(texts(whole))


def test_the_same_input_gives_the_same_bytes_in_any_process(
    whole: str, day_rows: Rows, interval_rows: Rows, tmp_path: Path
) -> None:
    days = day_rows({day: 10.0 + day for day in range(1, 32)})
    intervals = interval_rows(list(range(1, 32)))
    assert draw(days, intervals) == whole
    days.write_parquet(tmp_path / "days.parquet")
    intervals.write_parquet(tmp_path / "intervals.parquet")
    # A user's own matplotlib settings in the working directory must not reach the picture.
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.grid: True\nsvg.fonttype: path\n")
    code = (
        "import sys; from datetime import date; import polars as pl\n"
        "from pipeline.report.picture import draw_month_picture\n"
        "days, intervals = (pl.read_parquet(f'{name}.parquet') for name in ('days', 'intervals'))\n"
        "sys.stdout.buffer.write(draw_month_picture(days, intervals, plant_name='Roof', "
        "timezone='Australia/Brisbane', month=date(2021, 10, 1)).encode())\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    other = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "PYTHONHASHSEED": "7", "HOME": str(tmp_path), "TZ": "Asia/Tokyo"},
        capture_output=True,
        check=True,
    )
    assert other.stdout.decode() == whole


def test_it_leaves_matplotlib_as_it_was(day_rows: Rows, interval_rows: Rows) -> None:
    def settings() -> dict[str, object]:
        # To read the backend is to choose one.
        return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}

    before = settings()
    draw(day_rows({1: 1.0}), interval_rows([1]))
    assert settings() == before


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><svg onload=alert(1)>',
        "]]> --> & &amp; $x_2$ $",
        "太陽光 🌞 محطة",
        "x" * 300,
        "line\nbreak\x00\x1b",
        "",
    ],
)
def test_every_name_is_only_a_name(name: str, day_rows: Rows, interval_rows: Rows) -> None:
    svg = draw(day_rows({1: 1.0}), interval_rows([1]), name=name)
    root = parsed(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert not [node for node in root.iter() if any(key.startswith("on") for key in node.attrib)]
    plain = " ".join(re.sub("[\x00\x1b]", " ", name).split()) or "(no name)"
    assert root.findtext(f"{SVG}title") == f"{plain}: PV energy in October 2021"
    heading = texts(svg)
    cut = plain if len(plain) <= 36 else plain[:35] + "…"
    assert cut in heading


def test_every_colour_has_its_dark_counterpart(day_rows: Rows, interval_rows: Rows) -> None:
    days = day_rows(
        {1: 10.0, 2: 5.0, 3: None, 4: 7.0},
        {
            2: {"status": "partial", "coverage": 0.8},
            3: {"status": "missing", "coverage": 0.0},
            4: {"status": "provisional"},
        },
    )
    svg = draw(days, interval_rows([1, 2, 4]))
    style = parsed(svg).find(f".//{SVG}style")
    assert style is not None
    rules = style.text or ""
    drawing = svg.replace(rules, "")
    used = {f'[style*="{paint}"]' for paint in re.findall(r"(?:fill|stroke): #[0-9a-f]{3,8}", drawing)}
    used |= {f"[{paint}]" for paint in re.findall(r'(?:fill|stroke)="#[0-9a-f]{3,8}"', drawing)}
    assert len(used) > 12
    missing = [selector for selector in used if selector not in rules]
    assert not missing
    assert "prefers-color-scheme: dark" in rules
    # Only the picture itself is styled, whatever page it is put into.
    selectors = [
        part.strip() for part in re.findall(r"([^{}@]+)\{[^{}]*\}", re.sub(r"@media[^{]*\{", "", rules))
    ]
    assert selectors
    assert all(one.strip().startswith("svg.picture") for part in selectors for one in part.split(","))


def test_roles_have_colours_of_their_own() -> None:
    assert len({role.light for role in ROLES}) == len(ROLES)
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for role in ROLES for colour in (role.light, role.dark))


def contrast(one: str, other: str) -> float:
    """How much brighter one colour is than the other, by WCAG 2."""

    def brightness(colour: str) -> float:
        parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, bright = sorted((brightness(one), brightness(other)))
    return (bright + 0.05) / (dark + 0.05)


def test_letters_and_lines_stand_out_from_their_ground() -> None:
    style = Path("pipeline/report/templates/page.css").read_text()
    light, dark = re.findall(r"--ground: (#[0-9a-f]{6})", style)
    for role, least in ((INK, 4.5), (MUTED, 4.5), (SUN, 3.0), (LOAD, 3.0)):
        for own, grounds in ((role.light, (PAPER.light, light)), (role.dark, (PAPER.dark, dark))):
            assert min(contrast(own, ground) for ground in grounds) >= least
    words = [re.findall(rf"--{name}: (#[0-9a-f]{{6}})", style) for name in ("good", "warn", "bad")]
    assert all(contrast(own, PAPER.light) >= 4.5 <= contrast(other, PAPER.dark) for own, other in words)


@pytest.mark.parametrize(
    ("scale", "unit", "total"), [(1.0, "kWh", "15.000 kWh"), (1000.0, "MWh", "15.000 MWh")]
)
def test_large_plants_are_told_in_large_units(
    day_rows: Rows, interval_rows: Rows, scale: float, unit: str, total: str
) -> None:
    svg = draw(day_rows({1: 15.0 * scale}), interval_rows([1], lambda _: 11_000.0 * scale))
    assert f"PV energy by day, {unit}" in texts(svg)
    assert total in texts(svg)
    power = "kW" if scale == 1 else "MW"
    assert f"Mean PV power by hour of the day, {power}" in texts(svg)


def test_a_month_without_anything_is_still_a_picture(day_rows: Rows, interval_rows: Rows) -> None:
    svg = draw(day_rows({}), interval_rows([]), month=date(2024, 2, 1))
    assert "no measured energy" in texts(svg)
    assert "0 of 29 days measured · coverage –" in texts(svg)


def test_a_month_of_zeros_is_drawn_as_no_power(day_rows: Rows, interval_rows: Rows) -> None:
    svg = draw(day_rows({1: 0.0}), interval_rows([1], lambda _: 0.0))
    assert "0.000 kWh" in texts(svg)
    tiles = sum(node.get("d", "").count("z") for node in painted(svg, NIGHT.light))
    assert tiles == 24 + 1
    assert not any(painted(svg, colour.light) for colour in HEAT)
