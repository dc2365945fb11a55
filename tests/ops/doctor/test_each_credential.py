"""The doctor examines each of several credentials: one without a login hides nothing of the others."""

from pathlib import Path

import pytest

from pipeline.common.settings import load_settings
from pipeline.ops.doctor.examination import examine
from pipeline.ops.doctor.result import Level
from sandbox.launch import run_sandbox

FILE = """
[[credential]]
name = "own"
client_id = "sandbox-code"
client_secret = "sandbox-code-secret"
flow = "code"

[[credential]]
name = "north"
client_id = "sandbox-custom-2"
client_secret = "sandbox-custom-secret"
requests_per_5_min = 400
"""


@pytest.mark.long
def test_one_credential_without_a_login_hides_nothing_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "credentials.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    with run_sandbox("--plants", "6", "--more-clients", "1") as address:
        given = {name.lower(): value for name, value in address.settings().items() if "CLIENT" not in name}
        settings = load_settings(env_file=None, home=tmp_path / "home", sma_credentials=file, **given)
        found = [(one.check, one.level, one.text) for one in examine(settings, plants_asked=0)]
    of_access = [
        (check, level, text.partition(":")[0])
        for check, level, text in found
        if check in {"credentials", "login", "budget", "token", "consent"}
    ]
    assert of_access == [
        ("credentials", Level.OK, "own"),
        ("credentials", Level.OK, "north"),
        ("login", Level.FAIL, "own"),
        ("budget", Level.WARN, "own"),
        ("budget", Level.OK, "north"),
        ("token", Level.SKIP, "own"),
        ("token", Level.OK, "north"),
        ("consent", Level.OK, "north"),
    ]
    plants = [(level, text) for check, level, text in found if check == "plants"]
    assert plants[0][0] is Level.WARN
    assert plants[0][1].startswith(
        "The credential own can't be used, so its plants are not asked for: No login"
    )
    assert plants[1] == (Level.OK, f"3 plants listed by {settings.sma_monitoring_url}")
    assert ("time basis", Level.SKIP, "not tested, because --ask-plants is 0") in found
