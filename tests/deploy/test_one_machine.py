"""What lies in deploy/ holds together: systemd knows every word, and the container gets all that the program needs."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pipeline.common.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


ANALYZE = shutil.which("systemd-analyze") or ""


@pytest.mark.skipif(not ANALYZE, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(path.name for path in DEPLOY.glob("*.service")))
def test_systemd_knows_every_word_of_a_unit(unit: str, tmp_path: Path) -> None:
    text = (DEPLOY / unit).read_text()
    program = "/srv/sunledger/.venv/bin/sunledger"
    # The only thing that this machine lacks.
    assert text.count(program) == 1
    (tmp_path / unit).write_text(text.replace(program, "/bin/true"))
    verified = subprocess.run(
        [ANALYZE, "verify", tmp_path / unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_environment_of_the_units_names_settings_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (DEPLOY / "sunledger.env.example").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    documented = (ROOT / "docs" / "settings.md").read_text()
    for name, value in named.items():
        assert f"`{name}`" in documented
        if value:
            monkeypatch.setenv(name, value)
    assert load_settings(env_file=None).schedules == "on"


def test_the_container_gets_every_package_and_file_that_the_installation_names() -> None:
    text = (DEPLOY / "Containerfile").read_text().replace("${LOCK}", "requirements.lock.txt")
    copied = {word for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for word in line.split()}
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {project["project"]["readme"], *project["project"]["license-files"]} <= copied
    assert '--require-hashes --requirement "requirements.lock.txt"' in text
