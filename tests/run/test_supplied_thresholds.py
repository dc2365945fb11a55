"""A user's own thresholds of the quality rules take the place of those that they name, or are refused by name."""

from pathlib import Path

import pytest

from pipeline.common.errors import ConfigurationError
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds
from pipeline.transform.thresholds import Thresholds, load_thresholds


def own(tmp_path: Path, text: str) -> Thresholds:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return read_thresholds(file)


def test_own_thresholds_replace_those_that_they_name(tmp_path: Path) -> None:
    found = own(tmp_path, "night_w = 200\n")
    assert found.night_w == 200.0
    assert found.beyond_rated_times == load_thresholds().beyond_rated_times


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("night = 3", "the threshold 'night' does not exist"),
        ("night_w = '3'", "night_w = '3' is not a valid threshold"),
        ("night_w = true", "is not a valid threshold"),
        ("night_w = -1", "is not a valid threshold"),
        ("night_w = nan", "is not a valid threshold"),
        ("[night]\nw = 3", "the threshold 'night' does not exist"),
        ("night_w = ", "is not TOML"),
    ],
)
def test_wrong_thresholds_are_told_with_the_file_and_the_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as told_:
        own(tmp_path, text)
    assert "mine.toml" in str(told_.value)


def test_a_missing_file_of_thresholds_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SUNLEDGER_QUALITY"):
        read_thresholds(tmp_path / "none.toml")
