"""The file of several credentials: what it must hold, who may read it, and that no message repeats a secret."""

import os
from pathlib import Path

import pytest

from pipeline.common.credentials import read_credentials, select_credentials
from pipeline.common.errors import ConfigurationError, UsageError
from pipeline.common.settings import Settings

ONE = '[[credential]]\nname = "{0}"\nclient_id = "{1}"\nclient_secret = "s3cret"\n'
BROKEN = {
    "no TOML": ("s3cret = = 1", r"is not TOML .*correct it"),
    "no table": ('secret = "s3cret"', r"must hold tables \[\[credential\]\] and nothing else"),
    "a mistyped key": (
        ONE.format("a", "b") + 'client = "s3cret"',
        r"client of credential number 1 is wrong: Extra",
    ),
    "an odd name": (ONE.format("a b", "b"), r"name of credential number 1 is wrong: String should match"),
    "no secret": (
        '[[credential]]\nname = "a"\nclient_id = "b"',
        r"number 1 is wrong: needs either client_secret or client_secret_file",
    ),
    "a name twice": (ONE.format("a", "b") + ONE.format("A", "c"), r"'A' has the name of another one"),
    "a client twice": (ONE.format("a", "b") + ONE.format("c", "b"), r"'c' has the client_id of another one"),
    "no budget": (
        ONE.format("a", "b") + "requests_per_5_min = 0",
        r"requests_per_5_min of credential number 1",
    ),
}


def settings_with(settings: Settings, content: str, tmp_path: Path, mode: int = 0o600) -> Settings:
    file = tmp_path / "credentials.toml"
    file.write_text(content)
    file.chmod(mode)
    return settings.model_copy(update={"sma_credentials": file})


def test_without_the_file_there_is_one_credential_of_the_settings(settings: Settings) -> None:
    (one,) = read_credentials(settings)
    assert (one.name, one.settings) == ("", settings)
    with pytest.raises(UsageError, match="There is no credential 'x': leave the option out"):
        select_credentials(settings, "x")


@pytest.mark.parametrize("what", BROKEN)
def test_a_wrong_file_is_refused_in_a_sentence_without_its_values(
    settings: Settings, tmp_path: Path, what: str
) -> None:
    content, said = BROKEN[what]
    with pytest.raises(ConfigurationError, match=said) as refused:
        read_credentials(settings_with(settings, content, tmp_path))
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_secret_is_taken_from_a_file_of_its_own_and_others_may_read_neither(
    settings: Settings, tmp_path: Path
) -> None:
    content = '[[credential]]\nname = "a"\nclient_id = "b"\nclient_secret_file = "secret"\nflow = "code"\n'
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    (one,) = read_credentials(settings_with(settings, content, tmp_path))
    assert one.settings.sma_client_secret.get_secret_value() == "s3cret"
    assert (one.settings.sma_flow, one.settings.sma_credentials) == ("code", None)
    secret.chmod(0o640)
    with pytest.raises(
        ConfigurationError, match=r"secret holds a secret, and others may use it \(mode 0640\)"
    ):
        read_credentials(settings_with(settings, content, tmp_path))
    secret.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"credentials.toml holds a secret, .*0604.*'chmod 600 "):
        read_credentials(settings_with(settings, content, tmp_path, 0o604))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")
def test_a_mounted_secret_of_another_user_may_be_read_by_its_group(
    settings: Settings, tmp_path: Path
) -> None:
    chosen = settings_with(settings, ONE.format("a", "b"), tmp_path, 0o440)
    assert chosen.sma_credentials is not None
    os.chown(chosen.sma_credentials, 12345, 12345)
    assert [one.name for one in read_credentials(chosen)] == ["a"]
    chosen.sma_credentials.chmod(0o444)
    with pytest.raises(ConfigurationError, match="others may use it"):
        read_credentials(chosen)
