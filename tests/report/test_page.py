"""The fleet's page: its figures, its structure for people and machines, and names that stay names."""

import re
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser
from typing import Any

import polars as pl
import pytest

from pipeline.report.page import render_fleet_page

Rows = Callable[..., pl.DataFrame]

PICTURE = '<svg class="picture" role="img"><title>t</title></svg>'
OCTOBER = date(2021, 10, 1)


class Page(HTMLParser):
    """What a reader's browser makes of the page: tags with attributes, and rows of text by table."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        assert self.open == [], "a tag was left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in {"th", "td"}:
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if {"th", "td"} & set(self.open):
            cells = self.tables[-1][-1]
            cells[-1] = " ".join(f"{cells[-1]} {data}".split())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def plants(*names: str, power: float | None = 10.0) -> pl.DataFrame:
    schema = {"plant_id": pl.String, "name": pl.String, "timezone": pl.String, "ac_power_kw": pl.Float64}
    rows = [(str(n), name, "Europe/Berlin", power) for n, name in enumerate(names, start=1)]
    return pl.DataFrame(rows, schema=schema, orient="row")


def build(month_rows: pl.DataFrame, known: pl.DataFrame | None = None, **changes: Any) -> str:
    given: dict[str, Any] = {
        "month_rows": month_rows,
        "plants": plants("Plant 1", "Plant 2") if known is None else known,
        "picture": PICTURE,
        "picture_of": "A caption",
        "facts": [("HTTP requests", "1,847")],
        "next_steps": [("Open Dagster", "sunledger ui")],
        "title": "A fleet",
    }
    return render_fleet_page(**(given | changes))


def test_a_row_for_each_plant_and_month_and_one_for_all(month_rows: Rows) -> None:
    rows = month_rows(
        {"name": "B", "grid_feed_in_kwh": 400.0},
        {
            "name": "A",
            "pv_generation_kwh": 0.5,
            "covered_h": 186.0,
            "coverage": 0.5,
            "n_days_missing": 3,
            "largest_gap_min": 75.0,
            "n_flagged": 1200,
            "n_suspect": 0,
            "status": "partial",
        },
        {
            "name": "A",
            "plant_id": "2",
            "month": date(2021, 9, 1),
            "pv_generation_kwh": None,
            "covered_h": 0.0,
            "coverage": 0.0,
            "n_days": 30,
            "n_days_missing": 30,
            "status": "missing",
        },
    )
    (table,) = Page(build(rows)).tables
    assert table == [
        [
            "Plant",
            "Month",
            "PV generation kWh",
            "Coverage",
            "Status",
            "Feed-in kWh",
            "Days with values",
            "Longest gap h:min",
            "Set aside rows",
        ],
        ["A 2", "Sep 2021", "–", "0 %", "missing", "–", "0 of 30", "0:00", "0"],
        ["A 2", "Oct 2021", "0.500", "50 %", "partial", "–", "28 of 31", "1:15", "1,200"],
        ["B 1", "Oct 2021", "1,234.568", "100 %", "complete", "400.000", "31 of 31", "0:00", "0"],
        ["All", "1,235.068", "50 %", "", "400.000", "59 of 92", "1:15", "1,200"],
    ]


def test_the_headline_sums_the_fleet(month_rows: Rows) -> None:
    rows = month_rows({}, {"status": "partial", "covered_h": 186.0, "n_days_missing": 1})
    text = Page(build(rows)).text
    for part in (
        "PV generation 2,469.1 kWh",
        "Plants, 1 time zone 2 20.0 kW AC",
        "Coverage of the expected time 75 %",
        "Plant days with values 61 of 62",
        "Complete plant months 1 of 2",
    ):
        assert part in text


def test_power_that_nobody_gave_is_left_out(month_rows: Rows) -> None:
    assert "kW AC" not in Page(build(month_rows({}), plants("Plant 1", power=None))).text


def test_it_is_made_for_people_and_their_tools(month_rows: Rows) -> None:
    html = build(month_rows({}))
    page = Page(html)
    assert html.startswith("<!doctype html>\n")
    assert page.all("html") == [{"lang": "en"}]
    assert "<title>A fleet</title>" in html
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert len(page.all("h1")) == 1
    assert len(page.all("caption")) == len(page.all("table")) == 1
    assert all(head.get("scope") in {"col", "row"} for head in page.all("th"))
    scrolling = [div for div in page.all("div") if "scroll" in (div.get("class") or "")]
    assert scrolling
    assert all(div.get("tabindex") == "0" and div.get("role") == "region" for div in scrolling)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = {
        attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes
    }
    assert referred <= set(ids)
    assert PICTURE in html
    assert "A caption" in page.text
    assert "HTTP requests 1,847" in page.text
    assert "Open Dagster sunledger ui" in page.text


def test_it_asks_the_network_for_nothing(month_rows: Rows) -> None:
    html = build(month_rows({}))
    page = Page(html)
    assert {"http-equiv", "content"} in [set(meta) for meta in page.all("meta")]
    assert "default-src 'none'" in html
    # The one link keeps browsers from asking for an icon.
    assert page.all("link") == [{"rel": "icon", "href": "data:,"}]
    assert not [tag for tag, _ in page.tags if tag in {"script", "img", "iframe", "object", "embed"}]
    assert not [a for _, a in page.tags if {"src", "srcset", "action"} & set(a)]
    assert "@import" not in html
    assert "url(" not in html
    assert "http://" not in html
    assert "https://" not in html


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '" onmouseover="alert(1)', "{{ 7 * 7 }}", "'&amp;<b>", "very long " * 30],
)
def test_every_name_is_only_a_name(name: str, month_rows: Rows) -> None:
    hostile = dict.fromkeys(("name", "plant_id"), name)
    verdicts = evidence().with_columns(plant_id=pl.lit(name))
    html = build(
        month_rows(hostile),
        plants(name).with_columns(plant_id=pl.lit(name), timezone=pl.lit(name)),
        title=name,
        picture_of=name,
        facts=[(name, name)],
        next_steps=[(name, name)],
        time_basis=verdicts.head(1),
    )
    page = Page(html)
    assert not page.all("script")
    assert not page.all("b")
    assert not [a for _, a in page.tags if any(key.startswith("on") for key in a)]
    shown = " ".join(name.split())
    assert page.text.count(shown) >= 10
    assert "49" not in page.tables[0][1][0]


def test_the_status_is_told_by_word_and_sign(month_rows: Rows) -> None:
    states = ["complete", "partial", "missing", "provisional"]
    html = build(month_rows(*({"status": status} for status in states)))
    for status in states:
        assert f'<span class="status {status}">{status}</span>' in html
        assert re.search(rf'\.{status}::before {{ content: "."', html)
    signs = re.findall(r'::before { content: "(.)"', html)
    assert len(set(signs)) == len(signs) == 4


def evidence() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "plant_id": ["1", "2", "3"],
            "n_days": [31, 6, 0],
            "kwh": [504.0, 124.0, 0.0],
            "dark_share_utc": [0.9197, None, None],
            "dark_share_plant_local": [0.0, None, None],
            "noon_offset_min_utc": [613.9, None, None],
            "noon_offset_min_plant_local": [-13.9, None, None],
            "verdict": ["plant_local", "undecided", "undecided"],
        }
    )


def test_the_evidence_for_the_time_basis_is_shown(month_rows: Rows) -> None:
    page = Page(build(month_rows({}), plants("One", "Two", "Three"), time_basis=evidence()))
    assert page.tables[1][1:] == [
        ["One 1", "Europe/Berlin", "92.0 %", "0.0 %", "+10:14", "−0:14", "plant-local"],
        ["Two 2", "Europe/Berlin", "–", "–", "–", "–", "not conclusive"],
    ]


@pytest.mark.parametrize("verdicts", [None, evidence().clear()])
def test_without_evidence_there_is_no_such_section(month_rows: Rows, verdicts: pl.DataFrame | None) -> None:
    page = Page(build(month_rows({}), time_basis=verdicts))
    assert len(page.tables) == 1
    assert "Which clock" not in page.text


def test_an_empty_warehouse_says_so(month_rows: Rows) -> None:
    page = Page(build(month_rows(), plants(), facts=[], next_steps=[]))
    assert not page.tables
    assert "The warehouse holds no month yet." in page.text
    assert "PV generation – kWh" in page.text
    assert "Next steps" not in page.text
    assert "About these figures" not in page.text


def test_the_same_input_gives_the_same_page_in_any_order(month_rows: Rows) -> None:
    rows = month_rows({"name": "B"}, {"name": "A"}, {"name": "A", "plant_id": "0"})
    assert build(rows) == build(rows.reverse())
