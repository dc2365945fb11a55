"""Files as people and spreadsheets write them are read, or refused with the file, the line and the cure."""

import os
from pathlib import Path

import pytest

from pipeline.common.credentials import read_credentials
from pipeline.common.errors import ConfigurationError
from pipeline.common.files.user_text import read_user_text, split_separator
from pipeline.common.settings import load_settings
from pipeline.run.supplied_files.plant_attributes import read_plant_attributes
from pipeline.run.supplied_files.supplied_irradiation import read_supplied_irradiation
from pipeline.run.supplied_files.supplied_limits import read_supplied_limits

ROW = ("11", "2026-06-01T10:00:00Z", "2026-06-01T10:05:00Z", "812,5")


def write_rows(separator: str, *names: str) -> str:
    return "\r\n".join([separator.join(names), separator.join(ROW[: len(names)]), ""])


@pytest.mark.parametrize("written", ["utf-8-sig", "utf-16", "sep"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_excel_writes_is_read(tmp_path: Path, separator: str, written: str) -> None:
    start = f"sep={separator}\r\n" if written == "sep" else ""
    encoding = "utf-8" if written == "sep" else written
    file = tmp_path / "file.csv"

    def save(*names: str) -> Path:
        file.write_bytes((start + write_rows(separator, *names)).encode(encoding))
        return file

    attributes = load_settings(env_file=None, plant_attributes=save("plant_id", "group"))
    assert read_plant_attributes(attributes)["plant_group"].to_list() == [ROW[1]]
    limits = save("plant_id", "limit_start", "limit_end", "limit_kw")
    (limit,) = read_supplied_limits(load_settings(env_file=None, curtailment_limits=limits)).to_dicts()
    assert limit["limit_kw"] == 812.5
    sun = save("plant_id", "interval_start", "interval_end", "w_per_m2")
    assert read_supplied_irradiation(load_settings(env_file=None, irradiation=sun))["w_per_m2"].to_list() == [
        812.5
    ]


def test_a_comma_separates_where_it_can() -> None:
    assert split_separator("plant_id,a;b\n") == (",", "plant_id,a;b\n")
    assert split_separator("plant_id\n") == (",", "plant_id\n")
    assert split_separator("sep=;\nplant_id;a\n") == (";", "\nplant_id;a\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            b"plant_id\n11\nM\xfcller\n",
            r"line 3 is not UTF-8 text\. To correct it, save it as UTF-8 \(CSV UTF-8",
        ),
        (b"plant_id\n\0\0\0\0", "line 2 is not text, but has NUL bytes"),
        (
            b"PK\x03\x04\x14\0",
            "a workbook of Excel or the like. To correct it, save its table as 'CSV UTF-8'",
        ),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says):
        read_user_text("NAME", file)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="it is a pipe or a device"):
        read_user_text("NAME", pipe)
    for setting in ("sma_credentials", "plant_attributes", "irradiation"):
        settings = load_settings(env_file=None, **{setting: pipe})
        read = {
            "sma_credentials": read_credentials,
            "plant_attributes": read_plant_attributes,
            "irradiation": read_supplied_irradiation,
        }
        with pytest.raises(ConfigurationError, match="pipe"):
            read[setting](settings)


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    file, secret = tmp_path / "credentials.toml", tmp_path / "secret"
    secret.write_text("geheim\r\n", "utf-8-sig")
    file.write_text(
        '[[credential]]\nname = "a"\nclient_id = "b"\nclient_secret_file = "secret"\n', "utf-8-sig"
    )
    for one in (file, secret):
        one.chmod(0o600)
    (found,) = read_credentials(load_settings(env_file=None, sma_credentials=file))
    assert found.settings.sma_client_secret.get_secret_value() == "geheim"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "\nSMA_CLIENT_SECRET\n",
            r"Line 2 of .*\.env has no = after SMA_CLIENT_SECRET.*write SMA_CLIENT_SECRET=VALUE",
        ),
        ('A=1\n\n\nSMA_CLIENT_SECRET="geheim\n', r"Line 4 of .*\.env can't be read\. .* close each quote"),
        (
            "SUNLEDGER_EXCLUDE_PLANT=11\n",
            "names SUNLEDGER_EXCLUDE_PLANT, .*write SUNLEDGER_EXCLUDE_PLANTS, or remove",
        ),
    ],
)
def test_a_line_of_settings_is_never_passed_over(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / ".env"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=says) as told:
        load_settings(env_file=file)
    assert "geheim" not in str(told.value)


def test_what_other_programs_keep_there_is_theirs(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("\ufeffSMA_CLIENT_ID=a\r\nexport OTHER='b'\r\nSUNLEDGER_IMAGE_OF_COMPOSE=x\r\n", "utf-8")
    assert load_settings(env_file=file).sma_client_id == "a"
    file.unlink()
    file.mkdir()
    with pytest.raises(
        ConfigurationError, match=r"it is a folder\. To correct it, put a text file in its place"
    ):
        load_settings(env_file=file)
