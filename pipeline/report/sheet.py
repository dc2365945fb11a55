"""The parts of a report's page as data: pictures and tables, which one template turns into HTML."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from pipeline.report.figures import clean
from pipeline.report.page import COLOURS, build_environment
from pipeline.report.palette import FONTS


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text; where a link leads; small print below; a share from 0 to 1 drawn as a bar; a status."""

    text: str
    href: str = ""
    below: str = ""
    share: float | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading, with the unit below it."""

    label: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """A section with one table. Without rows the sentence `empty` stands there.

    `foot` has the sums of the rows, `terms` what words in them mean.
    """

    key: str
    heading: str
    note: str
    empty: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    foot: Sequence[Cell] = ()
    terms: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """A section with one picture of ours; where there is nothing to draw the sentence `empty` stands there."""

    key: str
    heading: str
    caption: str
    svg: Markup | None
    empty: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A page of a report; `back` is where its fleet's page is."""

    title: str
    lead: str
    headline: Sequence[tuple[str, str, str]]
    plots: Sequence[Plot]
    tables: Sequence[Table]
    facts: Sequence[tuple[str, str]]
    back: str = field(default="")


def embed_drawing(svg: str) -> Markup:
    """A picture of ours goes in as it is: names in it are escaped where it is made."""
    return Markup(svg)  # noqa: S704


def render(sheet: Sheet) -> str:
    """The page as the text of one HTML file that asks the network for nothing and needs no script."""
    return (
        build_environment()
        .get_template("report.html.j2")
        .render(
            title=clean(sheet.title),
            lead=sheet.lead,
            headline=sheet.headline,
            plots=sheet.plots,
            tables=sheet.tables,
            facts=sheet.facts,
            back=sheet.back,
            colours=COLOURS,
            fonts=FONTS,
        )
    )
