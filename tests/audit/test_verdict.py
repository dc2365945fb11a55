"""A package that could not be looked up is never told as one without known faults."""

from tests.audit.verdict import Verdict, read_report

# As pip-audit 2.10 writes them.
SKIPPED = {"name": "idna", "skip_reason": "Dependency not found on PyPI and could not be audited: idna (2.0)"}
GOOD = {"name": "polars", "version": "2.1.0", "vulns": []}
BAD = {
    "name": "jinja2",
    "version": "3.1.3",
    "vulns": [
        {
            "id": "PYSEC-2024-1",
            "fix_versions": ["3.1.4"],
            "aliases": ["CVE-2024-34064"],
            "description": "xmlattr",
        },
        {"id": "PYSEC-2024-2", "fix_versions": [], "aliases": [], "description": "x"},
    ],
}


def test_a_known_fault_is_told_with_the_version_that_mends_it() -> None:
    verdict = read_report({"dependencies": [GOOD, BAD], "fixes": []})
    assert verdict.judged == 2
    assert verdict.faults == [
        "jinja2 3.1.3: PYSEC-2024-1, mended in 3.1.4",
        "jinja2 3.1.3: PYSEC-2024-2, mended in no version yet",
    ]
    assert "NOT JUDGED" not in str(verdict)


def test_what_was_not_looked_up_is_told_apart() -> None:
    verdict = read_report({"dependencies": [SKIPPED, GOOD], "fixes": []})
    assert (verdict.judged, list(verdict.faults), list(verdict.unknown)) == (1, [], ["idna"])
    assert "1 of 2 packages judged, known faults: 0; NOT JUDGED for want of data: idna;" in str(verdict)
    assert "NOT JUDGED" in str(Verdict((), (), fault=["no network"]))
