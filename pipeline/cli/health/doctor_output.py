"""`sunledger doctor` on the terminal: a line for each finding."""

import os
from functools import partial
from itertools import chain

from rich.text import Text

from assets.run_control.dagster_findings import examine_runs
from pipeline.cli.bills.cost_consent import agree
from pipeline.cli.console import out, say
from pipeline.common.env_file import find_misspelled_variables
from pipeline.common.errors import SunledgerError
from pipeline.common.settings import Settings, load_settings, name_variable
from pipeline.ops.doctor.examination import examine
from pipeline.ops.doctor.result import Diagnosis, Level, fail, pass_check, warn
from pipeline.sma.clock import Clock, WaitAnnouncer

_STYLES = {Level.OK: "green", Level.WARN: "bold yellow", Level.FAIL: "bold red", Level.SKIP: "dim"}
_WIDEST = 11


def show_examination(plants_asked: int | None, *, yes: bool) -> bool:
    """Print a line for each finding as soon as it is there. Returns whether no check failed.

    A clear day is fetched of `plants_asked` plants; with None, only of plants that add no cost this month.
    """
    try:
        settings = load_settings()
    except SunledgerError as error:
        _print(fail("settings", str(error)))
        return False
    access = f"flow {settings.sma_flow}"
    if settings.sma_credentials is not None:
        access = f"credentials of {settings.sma_credentials}"
    where = f"environment {settings.sma_environment}, {access}, home {settings.home}"
    _print(pass_check("settings", where))
    names = [name_variable(field) for field in Settings.model_fields]
    for name, meant in find_misspelled_variables(os.environ, names).items():
        _print(
            warn("settings", f"the environment has {name}, which is no setting: write {meant}, or remove it")
        )
    well = True
    clock = Clock(announce=WaitAnnouncer(say))
    examined = examine(settings, clock=clock, plants_asked=plants_asked, agree=partial(agree, yes=yes))
    for finding in chain(examine_runs(settings), examined):
        _print(finding)
        well &= finding.level is not Level.FAIL
    return well


def format_finding(finding: Diagnosis) -> str:
    """Format a finding as a line."""
    return f"{finding.level.value:>4} {finding.check:{_WIDEST}} {finding.text}"


def _print(finding: Diagnosis) -> None:
    text = Text(format_finding(finding))
    text.stylize(_STYLES[finding.level], 0, 4)
    out.print(text, soft_wrap=True)
