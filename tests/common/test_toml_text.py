"""TOML without a bound is refused like other faults of TOML: with the file and the cure, and never as a bug."""

from pathlib import Path

import pytest

from pipeline.billing.prices import load_prices
from pipeline.common.credentials import read_credentials
from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import load_settings
from pipeline.run.supplied_files.plant_attributes import read_plant_attributes
from pipeline.run.supplied_files.supplied_limits import read_supplied_limits
from pipeline.run.supplied_files.supplied_thresholds import read_thresholds

READERS = {
    "SUNLEDGER_PLANT_ATTRIBUTES": lambda file: read_plant_attributes(
        load_settings(env_file=None, plant_attributes=file)
    ),
    "SUNLEDGER_CURTAILMENT_LIMITS": lambda file: read_supplied_limits(
        load_settings(env_file=None, curtailment_limits=file)
    ),
    "SMA_CREDENTIALS_FILE": lambda file: read_credentials(load_settings(env_file=None, sma_credentials=file)),
    "price list": load_prices,
    "thresholds": read_thresholds,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(f"night_w = {'[' * 10_000}", "nested too deeply", id="depth"),
        pytest.param(f"night_w = {'9' * 5_000}", "more than 64 bits", id="digits"),
        pytest.param(f"night_w = 0x{'f' * 5_000}", "more than 64 bits", id="hexadecimal"),
        pytest.param(
            f"[[limit]]\nlimit_kw = [{{a = -1{'0' * 400}}}]", "more than 64 bits", id="within a list"
        ),
    ],
)
def test_toml_without_a_bound_is_refused_by_its_file(
    tmp_path: Path, reader: str, text: str, says: str
) -> None:
    file = tmp_path / "file.toml"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match=says) as refused:
        READERS[reader](file)
    assert str(file) in str(refused.value)
    assert len(str(refused.value)) < 500
