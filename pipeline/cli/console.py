"""Output for people: progress (a bar on a terminal, plain lines elsewhere), tables and errors.

Names, logs and fields come from others. Characters that would control a terminal are escaped here, in the one place
that all text passes.
"""

import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from pipeline.common.text import escape_controls, escape_line, pluralize, shorten_text

# A pipe has no width; this keeps the widest table on one line a row.
PIPE_WIDTH = 2000
# A cell of a table; its rows are padded to the longest one.
CELL_CHARACTERS = 1_000


class HarmlessConsole(Console):
    """A console that adds the control codes of its own styles, and passes on none that a text holds."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As Console does."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escape_controls(segment.text), segment.style)


class HarmlessStream:
    """Standard output for what is written without a console."""

    def write(self, text: str) -> int:
        """As a file does."""
        return sys.stdout.write(escape_controls(text))


# Results go to standard output, all else to standard error, so that a result can be piped.
out = HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
err = HarmlessConsole(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PIPE_WIDTH)


def say(text: str) -> None:
    """Print a line about what the program does, to standard error."""
    err.print(Text(escape_line(text)), soft_wrap=True)


def say_all(notices: Iterable[str]) -> None:
    """Print a line for each notice, to standard error."""
    for notice in notices:
        say(notice)


def list_item(text: str) -> None:
    """Print a line of a result, to standard output."""
    out.print(Text(escape_line(text)), soft_wrap=True)


def complain(text: str) -> None:
    """Print an error as one line, to standard error."""
    err.print(
        Text("Error: ", style="bold red").append(Text(shorten_text(text), style="default")), soft_wrap=True
    )


class Bars:
    """Progress of long steps: one bar on a terminal, elsewhere a line when a part begins."""

    def __init__(self, unit: str = "request") -> None:
        self._unit = unit
        self._terminal = err.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(f"{unit}s"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        )
        self._task = self._progress.add_task("connecting", total=None, visible=False)

    def __enter__(self) -> Self:
        if self._terminal:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._progress.stop()

    def begin(self, step: str, label: str, total: int) -> None:
        """Show that a step begins a part of `total` requests."""
        if self._terminal:
            description = f"{label} {step.removeprefix('raw_')}"
            self._progress.reset(self._task, total=total, description=description, visible=True)
        else:
            say(f"{label} {step}: {pluralize(total, self._unit)}")

    def advance(self, step: str, count: int = 1) -> None:  # noqa: ARG002 - one bar serves all steps
        """Show that `count` more requests are done."""
        self._progress.advance(self._task, count)


def show_table(title: str, columns: Sequence[tuple[str, bool]], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. `columns` gives the heading of each column and whether it holds numbers."""
    drawn = Table(box=box.SIMPLE_HEAD)
    for heading, numeric in columns:
        drawn.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        # Names come from the vendor, so they are text and never markup.
        drawn.add_row(*(Text(escape_controls(shorten_text(cell, CELL_CHARACTERS))) for cell in row))
    if title:
        # Printed apart, because rich would wrap a table's own title to the width of the table.
        out.print(Text(shorten_text(title), style="bold"), soft_wrap=True)
    out.print(drawn)
