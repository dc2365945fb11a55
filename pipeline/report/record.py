"""The record of requests, as far as it reaches: where it has nothing, nothing is known, which is not nothing paid."""

from dataclasses import dataclass
from datetime import date

from pipeline.common.calendar_months import find_month_end


@dataclass(frozen=True, slots=True)
class Record:
    """`begins` is the day (UTC) of the first request that is known, None where none is."""

    begins: date | None

    def knows(self, month: date) -> bool:
        """Whether it reaches into the calendar month."""
        return self.begins is not None and self.begins <= find_month_end(month)

    def limit(self, month: date) -> str:
        """What it can't say of the month, as a sentence; nothing where it knows the whole of it."""
        if self.begins is None:
            return "There is no record of requests, so the requests of this month are unknown."
        begin = f"The record of requests begins on {self.begins}"
        if not self.knows(month):
            return f"{begin}, so the requests of this month and their cost are unknown."
        if self.begins > month.replace(day=1):
            return f"{begin}; earlier requests of this month are unknown."
        return ""
