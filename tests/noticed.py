"""What steps report to a person, collected as those who call them do."""

import datetime as dt
from collections.abc import Iterable

from pipeline.run.notices import Notices
from pipeline.run.step_result import StepResult


def noticed(reports: Iterable[StepResult | Notices | tuple[dt.date, StepResult]]) -> Notices:
    """The notices of all reports, those of single days too."""
    found = Notices()
    for one in reports:
        report = one[1] if isinstance(one, tuple) else one
        found.add(report if isinstance(report, Notices) else report.notices)
    return found
