"""Counts in messages."""

from pipeline.common.text import plural


def test_one_of_a_thing_has_no_s() -> None:
    assert [plural(count, "plant") for count in (0, 1, 2, 1200)] == [
        "0 plants",
        "1 plant",
        "2 plants",
        "1,200 plants",
    ]
