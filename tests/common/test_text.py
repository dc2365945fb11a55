"""Counts in messages, and text of others in them."""

import unicodedata

import pytest

from pipeline.common.text import (
    MOST_CHARACTERS,
    escape_controls,
    escape_line,
    join_lines,
    pluralize,
    quote_fault,
    shorten_text,
)


def test_one_of_a_thing_has_no_s() -> None:
    assert [pluralize(count, "plant") for count in (0, 1, 2, 1200)] == [
        "0 plants",
        "1 plant",
        "2 plants",
        "1,200 plants",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Dach\x1b[31m rot", r"Dach\x1b[31m rot"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("C1 \x9b31m", r"C1 \x9b31m"),
        ("gnp\u202e.exe", r"gnp\u202e.exe"),
        ("\u2066isolated\u2069", r"\u2066isolated\u2069"),
        ("over\rwritten\x08\x7f", r"over\rwritten\x08\x7f"),
        ("half \ud83d of a pair", r"half \ud83d of a pair"),
        ("tag \U000e0041", r"tag \U000e0041"),
        ("zero\u200bwidth\u2028line", r"zero\u200bwidth\u2028line"),
    ],
)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    assert escape_controls(text) == shown
    shown.encode("ascii")


@pytest.mark.parametrize(
    "text", ["Größe", "太陽光", "👨\u200d👩\u200d👧 ☀️", "می\u200cخواهم", "a\tb", "one\ntwo\r\n", "[bold]"]
)
def test_what_people_write_stays(text: str) -> None:
    assert escape_controls(text) == text


def test_no_control_character_of_unicode_is_left() -> None:
    every = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in {"Cc", "Cs", "Zl", "Zp"}
    ]
    assert escape_controls("".join(every).replace("\t", "").replace("\n", "")).isascii()


def test_a_line_stays_one_line() -> None:
    assert escape_line("name\nError: forged\r\nmore") == r"name\nError: forged\r\nmore"


def test_what_a_library_says_in_several_lines_becomes_one() -> None:
    said = "Kernel error\n \x1b[31m↳\x1b[0m No space left on device (os error 28)\n"
    assert join_lines(said) == "Kernel error : No space left on device (os error 28)"


def test_a_text_of_a_million_characters_keeps_its_ends() -> None:
    told = shorten_text("The name " + "x" * 10**6 + " is wrong: correct it.")
    assert len(told) < MOST_CHARACTERS + 100
    assert told.startswith("The name xxx")
    assert told.endswith("xxx is wrong: correct it.")
    assert "characters left out" in told
    assert shorten_text("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS


@pytest.mark.parametrize(
    ("said", "clause"),
    [
        (
            "Object at location x not found: Client error\nand more",
            "Object at location x not found: Client error",
        ),
        ('no such object: Error { code: Some("NoSuchKey"), path: "/x" }', "no such object"),
        ("gap: ParsedLogPath { location: FileMeta { version: 0 } }", "gap"),
        ("", "ValueError"),
    ],
)
def test_of_what_a_library_says_a_clause_is_left(said: str, clause: str) -> None:
    assert quote_fault(ValueError(said)) == clause
    assert len(quote_fault(ValueError("x" * 5000))) < 300
