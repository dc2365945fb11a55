"""Settings: where they come from, what is refused, and that no secret shows."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.common.env_file import find_misspelled_variables
from pipeline.common.errors import ConfigurationError
from pipeline.common.setting_values import LONGEST_HOME
from pipeline.common.settings import Settings, load_settings, name_variable
from pipeline.common.sma_hosts import is_loopback


def test_loads_without_credentials_and_says_which_are_missing() -> None:
    settings = load_settings(env_file=None)
    with pytest.raises(
        ConfigurationError, match=r"^SMA_CLIENT_ID and SMA_CLIENT_SECRET are not set: put .*\.$"
    ):
        settings.require_credentials()


def test_require_credentials_names_only_what_is_missing() -> None:
    both = {"env_file": None, "sma_client_id": "a", "sma_client_secret": "b"}
    load_settings(**both).require_credentials()
    load_settings(**both, sma_flow="code").require_credentials()
    with pytest.raises(ConfigurationError, match=r"^SMA_CLIENT_SECRET is not set"):
        load_settings(env_file=None, sma_client_id="a").require_credentials()


def test_environment_fills_the_urls_and_single_ones_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMA_ENVIRONMENT", "production")
    monkeypatch.setenv("SMA_LIVE_URL", "http://127.0.0.1:8080/live/")
    settings = load_settings(env_file=None)
    assert settings.sma_monitoring_url == "https://monitoring.smaapis.de"
    assert settings.sma_consent_url == "https://async-auth.smaapis.de"
    assert settings.sma_live_url == "http://127.0.0.1:8080/live"


def test_sandbox_is_the_default_and_keeps_its_prefix() -> None:
    settings = load_settings(env_file=None)
    assert settings.sma_auth_url == "https://sandbox-auth.smaapis.de"
    assert settings.sma_monitoring_url == "https://sandbox.smaapis.de/monitoring"
    assert settings.sma_time_basis == "utc"


def test_environment_goes_before_the_file_and_empty_means_unset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "settings"
    file.write_text("SMA_CLIENT_ID=from-file\nSMA_FLOW=code\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("SMA_CLIENT_ID", "from-environment")
    monkeypatch.setenv("SMA_FLOW", "")
    settings = load_settings(env_file=file)
    assert (settings.sma_client_id, settings.sma_flow) == ("from-environment", "code")


@pytest.mark.parametrize("sign", ["[", "]", "%", "|", "^", "\\", "\n"])
def test_a_lake_that_delta_can_not_open_is_refused(tmp_path: Path, sign: str) -> None:
    with pytest.raises(ConfigurationError, match=r"can't be the lake: .* Set SUNLEDGER_LAKE or") as told:
        load_settings(env_file=None, home=tmp_path / f"a{sign}b")
    assert "\n" not in str(told.value)
    kept = load_settings(env_file=None, home=tmp_path / "a[b", lake=str(tmp_path / "lake"))
    assert kept.home == tmp_path / "a[b"


def test_a_published_file_that_duckdb_can_not_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\?/sunledger.duckdb can't be the published file"):
        load_settings(env_file=None, home=tmp_path / "a?")
    assert load_settings(env_file=None, home=tmp_path / "a?", warehouse=tmp_path / "file.duckdb")


def test_a_home_whose_databases_sqlite_could_not_open_is_refused(tmp_path: Path) -> None:
    """Each command said that space or permissions were lacking."""
    fitting = LONGEST_HOME - len(f"{tmp_path}/")
    assert load_settings(env_file=None, home=tmp_path / ("x/" * (fitting // 2))).home
    with pytest.raises(ConfigurationError, match="can't be the home: SQLite opens no file"):
        load_settings(env_file=None, home=tmp_path / ("x/" * (fitting // 2 + 2)))


def test_state_lives_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # The user's home folder has the variable HOME: it must not be taken for SUNLEDGER_HOME.
    monkeypatch.setenv("HOME", "/somewhere/else")
    settings = load_settings(env_file=None)
    assert settings.home == tmp_path / "data"
    assert settings.lake == str(tmp_path / "data" / "lake")
    assert settings.warehouse == tmp_path / "data" / "sunledger.duckdb"
    monkeypatch.setenv("SUNLEDGER_LAKE", "s3://bucket/prefix/")
    monkeypatch.setenv("SUNLEDGER_HOME", "state")
    settings = load_settings(env_file=None)
    assert (settings.home, settings.lake) == (tmp_path / "state", "s3://bucket/prefix")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "sma_auth_url",
            "ftp://x",
            "SMA_AUTH_URL=ftp://x is not a URL; write it as https://host[:port][/prefix].",
        ),
        (
            "ui_hosts",
            "https://sun.example.org",
            "SUNLEDGER_UI_HOSTS=https://sun.example.org is not a list of host names; ",
        ),
        ("sma_auth_url", "https://host:port", "SMA_AUTH_URL=https://host:port is not a URL; "),
        (
            "sma_auth_url",
            "http://example.com",
            "SMA_AUTH_URL=http://example.com would send secrets unencrypted; ",
        ),
        ("sma_auth_url", "https://h/p?x=1", "SMA_AUTH_URL=https://h/p?x=1 must end before any ? or #; "),
        ("sma_auth_url", "https://me:pw@h", "SMA_AUTH_URL must not hold a user name or password; "),
        ("sma_environment", "test", "SMA_ENVIRONMENT=test is wrong: it should be 'sandbox' or 'production'."),
        (
            "sma_max_connections",
            "0",
            "SMA_MAX_CONNECTIONS=0 is wrong: it should be greater than or equal to 1.",
        ),
        (
            "sma_requests_per_5_min",
            "many",
            "SMA_REQUESTS_PER_5_MIN=many is wrong: it should be a whole number.",
        ),
        (
            "first_day",
            "1.1.2015",
            "SUNLEDGER_FIRST_DAY=1.1.2015 is wrong: it should be a day, written as YYYY-MM-DD.",
        ),
        (
            "max_eur_per_month",
            "1.000,50",
            "SUNLEDGER_MAX_EUR_PER_MONTH=1.000,50 is wrong: it should be a number, with a point before decimals.",
        ),
        ("sma_max_connections", "1_0", "SMA_MAX_CONNECTIONS=1_0 is wrong: it should be a whole number."),
        (
            "sma_max_connections",
            "\N{FULLWIDTH DIGIT FIVE}",
            "SMA_MAX_CONNECTIONS=\N{FULLWIDTH DIGIT FIVE} is wrong: ",
        ),
        (
            "pool_wait_minutes",
            "1e3",
            "SUNLEDGER_POOL_WAIT_MINUTES=1e3 is wrong: it should be a number, with a ",
        ),
        (
            "pool_wait_minutes",
            "nan",
            "SUNLEDGER_POOL_WAIT_MINUTES=nan is wrong: it should be a number, with a ",
        ),
        ("max_eur_per_month", "1_000", "SUNLEDGER_MAX_EUR_PER_MONTH=1_000 is wrong: it should be a number, "),
        (
            "max_eur_per_month",
            "\N{ARABIC-INDIC DIGIT NINE}",
            "SUNLEDGER_MAX_EUR_PER_MONTH=\N{ARABIC-INDIC DIGIT NINE} is wrong: it should be a number, ",
        ),
        (
            "home",
            os.fsdecode(b"/tmp/h\xff"),
            r"SUNLEDGER_HOME=/tmp/h\udcff is wrong: it should be a path in UTF-8, ",
        ),
        (
            "first_day",
            "1420070400",
            "SUNLEDGER_FIRST_DAY=1420070400 is wrong: it should be a day, written as ",
        ),
        (
            "lake",
            "ftp://bucket",
            "SUNLEDGER_LAKE=ftp://bucket is neither a folder nor s3://bucket/prefix, az://container/prefix or gs://",
        ),
    ],
)
def test_a_wrong_value_is_one_sentence(
    field: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name_variable(field), value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(env_file=None)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("value", ["7", " 7 ", "+7", "07", "7.0"])
def test_a_number_may_be_written_in_the_usual_ways(value: str) -> None:
    assert load_settings(env_file=None, window_days=value, max_eur_per_month=value).window_days == 7


@pytest.mark.parametrize("value", [".5", "0.5", "+.50", "0.500"])
def test_a_part_of_a_number_may_be_written_in_the_usual_ways(value: str) -> None:
    assert load_settings(env_file=None, pool_wait_minutes=value).pool_wait_minutes == 0.5


def test_a_wrong_value_of_an_option_names_the_option() -> None:
    with pytest.raises(ConfigurationError, match=r"^--detail=5 is not an amount of detail; write none"):
        load_settings(env_file=None, from_options=["detail"], detail="5")


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="The setting 'sma_secret' does not exist"):
        load_settings(env_file=None, sma_secret="x")


def test_every_setting_documents_its_default() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "Default: " in field.description, name


def test_pydantics_own_error_repeats_no_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(sma_auth_url="https://me:geheim@host")
    assert "geheim" not in str(caught.value)


def test_settings_are_frozen_and_show_no_secret() -> None:
    settings = load_settings(env_file=None, sma_client_secret="geheim", sma_refresh_token="auch-geheim")
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "geheim" not in shown
    with pytest.raises(ValueError, match="frozen"):
        settings.sma_client_id = "other"


@given(st.ip_addresses(v=4))
def test_plain_http_is_for_this_machine_only(address: object) -> None:
    url = f"http://{address}"
    assert is_loopback(url) == str(address).startswith("127.")
    if is_loopback(url):
        assert load_settings(env_file=None, sma_auth_url=url).sma_auth_url == url
    else:
        with pytest.raises(ConfigurationError, match="unencrypted"):
            load_settings(env_file=None, sma_auth_url=url)


def test_slips_of_the_environment_are_found_and_the_names_of_others_are_left() -> None:
    names = [name_variable(field) for field in Settings.model_fields]
    others = ["SUNLEDGER_SERVICE_HOST", "SUNLEDGER_WEB_SERVICE_PORT", "SMARTHOME", "sunledger_home", "PATH"]
    slips = {"SUNLEDGER_MAX_EUR_PER_MONT": "SUNLEDGER_MAX_EUR_PER_MONTH", "SMA_CLIENTID": "SMA_CLIENT_ID"}
    assert find_misspelled_variables([*others, *slips], names) == slips


def test_a_file_that_gives_two_values_to_one_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("SMA_CLIENT_ID=\nSMA_CLIENT_ID=one\n")
    assert load_settings(env_file=file).sma_client_id == "one"
    file.write_text("SMA_CLIENT_ID=one\nOTHER=1\nOTHER=2\nSMA_CLIENT_ID=one\n\nsma_client_id=second-id\n")
    with pytest.raises(
        ConfigurationError, match=r"^Line 6 of .*\.env gives sma_client_id another value than"
    ) as told:
        load_settings(env_file=file)
    assert "second-id" not in str(told.value)


def test_a_file_that_is_too_large_for_settings_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_bytes(b"A" * (2**18 + 1))
    monkeypatch.setattr(Path, "read_bytes", pytest.fail)
    with pytest.raises(ConfigurationError, match="it has more than 256 KiB, which settings never need"):
        load_settings(env_file=tmp_path / ".env")
