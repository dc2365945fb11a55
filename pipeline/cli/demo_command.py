"""`sunledger demo`: the whole pipeline against the embedded sandbox."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import Bars


def run_demo(
    folder: Annotated[
        Path, typer.Option(help="Folder for all files of the demo. The demo empties it first.")
    ] = Path("demo"),
) -> None:
    """Run the whole pipeline against the embedded sandbox, with real recordings and a simulated fleet."""
    from pipeline.cli.demo import play_demo  # noqa: PLC0415 - commands load what they need

    with Bars() as bars:
        play_demo(folder, bars)
