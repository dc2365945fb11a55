"""What a report of pip-audit says: known faults, and the packages that it could not judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """Faults as sentences, names of packages without a judgement, and why there is no report, if there is none."""

    faults: Sequence[str]
    unknown: Sequence[str]
    judged: int = 0
    fault: Sequence[str] = ()

    def __str__(self) -> str:
        """Lines for a person."""
        if self.fault:
            return f"NOT JUDGED, pip-audit gave no report: {self.fault[0]}"
        whole = self.judged + len(self.unknown)
        lines = [f"{self.judged} of {whole} packages judged, known faults: {len(self.faults)}"]
        if self.unknown:
            shown = ", ".join(self.unknown[:5]) + (" and more" if len(self.unknown) > 5 else "")
            lines.append(
                f"NOT JUDGED for want of data: {shown}; run it where the package index itself is reached, since a "
                "mirror may have no data on faults"
            )
        return "; ".join(lines) + "".join(f"\n  {fault}" for fault in self.faults)


def read_report(report: Mapping[str, Any]) -> Verdict:
    """The verdict of a report in pip-audit's JSON format."""
    faults, unknown, judged = [], [], 0
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unknown.append(package["name"])
            continue
        judged += 1
        for fault in package["vulns"]:
            mended = ", ".join(fault["fix_versions"]) or "no version yet"
            faults.append(f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    return Verdict(faults, unknown, judged)
