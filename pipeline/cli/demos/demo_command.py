"""`sunledger demo`: the whole pipeline against the embedded sandbox."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.console import Bars
from pipeline.cli.demos.demo_fleet import SANDBOX_OPTIONS


def run_demo(
    folder: Annotated[
        Path, typer.Option(help="Folder for all files of the demo. The demo empties it first.")
    ] = Path("demo"),
) -> None:
    """Run the whole pipeline against the embedded sandbox, with real recordings and a simulated fleet."""
    from sandbox.launch import start_sandbox

    # It loads on another core while the pipeline does.
    with start_sandbox(*SANDBOX_OPTIONS) as wait:
        from pipeline.cli.demos.demo import play_demo

        with Bars() as bars:
            play_demo(folder, bars, wait)
