"""A report in a real Chromium: on a screen, on a phone and on paper. Nothing leaves the paper or scrolls the page."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from playwright.sync_api import Browser, sync_playwright

from pipeline.report.sheet_tables import name_file
from pipeline.report.write_report import write_report
from tests.report.fleet import OCTOBER
from tests.report.test_costs import put_units
from warehouse.published_file.open_published import connect

pytestmark = pytest.mark.long

LONG_ID = "07e3a73e-c267-4891-b53e-3abea61fe6cb"
LONG_NAME = "Donaudampfschifffahrtsgesellschaft" * 4
# A4 and Letter less the margins of 14 mm, in CSS pixels.
PAPERS = {"A4": (688, 1016), "Letter": (710, 950)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("There is no Chromium here: apt-get install chromium.")
    with sync_playwright() as player:
        window = player.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield window
        window.close()


@pytest.fixture(scope="module")
def pages(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's folder: a plant with a long name and id, figures of all kinds, and PU of a stranger."""
    place = tmp_path_factory.mktemp("browser")
    file = Path(shutil.copy(published, place / "sunledger.duckdb"))
    with duckdb.connect(str(file)) as writer:
        for table in ("plants", "energy_daily", "energy_monthly"):
            writer.execute(f"UPDATE {table} SET plant_id = ? WHERE plant_id = '2'", [LONG_ID])
        writer.execute("UPDATE plants SET name = ? WHERE plant_id = ?", [LONG_NAME, LONG_ID])
        writer.execute(
            "CREATE OR REPLACE TABLE kpi_monthly AS SELECT plant_id, month, "
            "12345e-1 AS final_yield_kwh_per_kw, 12345e-1 AS reference_yield_h, 9999e-4 AS performance_ratio, "
            "'clear_sky' AS irradiation_source, 123e-3 AS capacity_factor, 'no_coordinates' AS availability_reason, "
            "5555e-4 AS self_consumption_rate, 5555e-4 AS self_supply_rate, 1234567e0 AS co2_avoided_kg, "
            "NULL AS availability_time, NULL AS availability_energy FROM energy_monthly"
        )
        put_units(writer, ("1", "1234.50"), (LONG_ID, None), ("gone", "2.00"))
    with connect(file) as connection:
        return write_report(connection, OCTOBER, place / "out").index.parent


def opened(browser: Browser, path: Path, width: int, **options: Any) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("width", [390, 500, 1200])
@pytest.mark.parametrize("name", ["index.html", name_file(LONG_ID)])
def test_pictures_fit_every_screen(browser: Browser, pages: Path, name: str, width: int) -> None:
    page = opened(browser, pages / name, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    pictures = page.evaluate(
        "[...document.querySelectorAll('svg.picture')].map(e => [e.getBoundingClientRect().width, "
        "e.parentElement.clientWidth, e.parentElement.scrollWidth])"
    )
    assert len(pictures) >= 2
    assert all(own <= card >= scrolled for own, card, scrolled in pictures)
    # The smallest letters are read at arm's length on a phone.
    letters = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg.picture text')].map(e => "
        "parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a))"
    )
    assert letters > 5
    page.close()


@pytest.mark.parametrize("paper", PAPERS)
def test_on_paper_nothing_is_cut_and_the_first_page_has_the_month(
    browser: Browser, pages: Path, paper: str
) -> None:
    width, height = PAPERS[paper]
    for name in ("index.html", name_file(LONG_ID)):
        page = opened(browser, pages / name, width, color_scheme="dark")
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(
            "[...document.querySelectorAll('table')].every(e => e.scrollWidth <= e.parentElement.clientWidth)"
        )
        assert page.evaluate("document.querySelector('figure').getBoundingClientRect().bottom") < height
        # Names take the room; the last table of the fleet's page has the ids.
        assert page.evaluate(
            "[...document.querySelectorAll('tbody th .id')].every(e => !e.checkVisibility())"
        )
        page.close()


def test_no_heading_stands_alone_at_a_page_s_end(browser: Browser, pages: Path) -> None:
    page = opened(browser, pages / "index.html", PAPERS["A4"][0])
    page.emulate_media(media="print")

    def styles(selector: str, name: str) -> set[str]:
        found = page.evaluate(
            "([selector, name]) => [...document.querySelectorAll(selector)].map(e => getComputedStyle(e)[name])",
            [selector, name],
        )
        return set(found)

    assert styles("h2, figcaption, caption, thead", "breakAfter") == {"avoid"}
    assert styles("tbody tr:first-child", "breakBefore") == {"avoid"}
    assert styles("figure, tr", "breakInside") == {"avoid"}
    assert styles("thead", "display") == {"table-header-group"}
    page.close()


def test_it_asks_for_nothing_outside_in_light_and_in_dark(browser: Browser, pages: Path) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        asked: list[str] = []
        page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto((pages / "index.html").as_uri())
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(grounds) == 2
