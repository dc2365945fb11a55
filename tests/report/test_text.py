"""Figures and names as they are written."""

from datetime import date
from xml.etree.ElementTree import fromstring

import pytest

from pipeline.report.figures import (
    clean_name,
    format_minutes,
    format_month,
    format_number,
    format_percent,
    format_ratio,
    format_share,
    shorten,
)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (503.986, 3, "503.986"),
        (1234567.8, 1, "1,234,567.8"),
        (0, 0, "0"),
        (-0.0001, 2, "0.00"),
        (None, 3, "–"),
    ],
)
def test_numbers_have_separators_and_nothing_is_a_dash(value: float | None, decimals: int, text: str) -> None:
    assert format_number(value, decimals) == text


def test_figures_of_plants_are_rounded_and_not_cut() -> None:
    assert [format_ratio(share) for share in (None, 0.43192, 0.14374, 0.9999, 1.04)] == [
        "–", "43.2 %", "14.4 %", "100 %", "104 %",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.99999, "99.9 %"),
        (0.5, "50 %"),
        (0.57, "57 %"),
        (0.8337, "83.3 %"),
        (0.0, "0 %"),
        (None, "–"),
    ],
)
def test_only_what_is_complete_is_100_percent(share: float | None, text: str) -> None:
    assert format_percent(share) == text


def test_a_share_that_should_be_nothing_is_rounded() -> None:
    assert format_share(0.0004) == "0.0 %"
    assert format_share(0.9197) == "92.0 %"
    assert format_share(None) == "–"


@pytest.mark.parametrize(
    ("minutes", "signed", "text"),
    [
        (65.0, False, "1:05"),
        (59.6, False, "1:00"),
        (-13.4, True, "−0:13"),
        (600.0, True, "+10:00"),
        (-0.2, True, "0:00"),
        (60_000.0, False, "1,000:00"),
        (None, False, "–"),
    ],
)
def test_lengths_of_time_are_hours_and_minutes(minutes: float | None, signed: bool, text: str) -> None:
    assert format_minutes(minutes, signed=signed) == text


def test_months_are_english_words() -> None:
    assert format_month(date(2021, 10, 31)) == "October 2021"
    assert format_month(date(2025, 5, 1), short=True) == "May 2025"


def test_names_become_one_harmless_line() -> None:
    assert clean_name(" Roof\n north\t2 ") == "Roof north 2"
    assert clean_name("a\u202etxt.exe\u2069b") == "atxt.exeb"
    assert clean_name("\x00\x1b ") == "(no name)"
    every_control = "".join(map(chr, (*range(32), *range(0x7F, 0xA0), 0xFFFE, 0xFFFF, 0xD800)))
    page = f"<p>{clean_name('x' + every_control)}</p>"
    assert fromstring(page).text == "x"  # noqa: S314 - our own text


def test_long_names_are_cut_by_the_columns_they_take() -> None:
    assert shorten("Roof", 4) == "Roof"
    assert shorten("Roofs", 4) == "Roo…"
    assert shorten("Roof north", 6) == "Roof…"
    assert shorten("太陽光発電所", 7) == "太陽光…"
    assert shorten("é́" * 4, 4) == "é́" * 4
    assert shorten("", 4) == ""
