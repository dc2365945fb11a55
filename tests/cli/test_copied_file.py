"""A published file that was copied, and whose detail a command asks for."""

import duckdb

from pipeline.cli.fault_report import explain_fault
from warehouse.published_file.home_guard import CURE


def test_the_detail_of_a_copied_file_is_no_bug_of_the_program() -> None:
    said = explain_fault(
        duckdb.InvalidInputException(f"Invalid Input Error: a copy of it was opened: {CURE}.")
    )
    assert said.startswith("The detail that was asked for is in the home where this file was published")
    assert explain_fault(duckdb.InvalidInputException("another")).startswith("The program has a bug")
