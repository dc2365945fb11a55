"""What each check of a home found the last time that Dagster recorded it, to tell whether there is anything new."""

import json

from pipeline.common.finding import Finding
from pipeline.run.context import RunContext
from pipeline.run.result_file import KeptResult


def keep_outcome(runtime: RunContext, check: str, finding: Finding) -> None:
    """Note what the check has found, which is about to be recorded."""
    runtime.results.keep(KeptResult(_name_step(check), "", "", _describe_outcome(finding)))


def is_known_outcome(runtime: RunContext, check: str, finding: Finding) -> bool:
    """Whether the check found the same the last time. Words and figures of one that passes may differ."""
    return runtime.results.find(_name_step(check), "", "") == _describe_outcome(finding)


def _name_step(check: str) -> str:
    return f"check {check}"


def _describe_outcome(finding: Finding) -> str:
    return json.dumps([finding.passed, finding.severe, "" if finding.passed else finding.text])
