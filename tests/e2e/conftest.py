"""A wheel of this checkout, an environment that has it, and packages of somebody else that are called like ours."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("assets", "pipeline", "sandbox", "schemas", "warehouse")
# Large libraries that only tests have, as if they were not installed.
HIDE = """
import sys

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("h5py", "pandas", "pvlib", "scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built from a copy: a build leaves files behind."""
    place = tmp_path_factory.mktemp("wheel")
    for name in NAMES:
        shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source" / name)
    pip("wheel", "--no-build-isolation", "--wheel-dir", place, place / "source")
    (found,) = place.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of an environment that has the wheel, and of this one its dependencies but not the checkout.

    Large libraries that only tests have are hidden from it.
    """
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    # Only of its own folder Python also reads what points to the checkout.
    (packages / "hidden_libraries.py").write_text(HIDE)
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport hidden_libraries\n")
    pip("--python", place / "bin" / "python", "install", wheel)
    return place / "bin" / "sunledger"


def pip(*words: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run([*command, "--no-deps", "--no-index"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def put_foreign_packages(place: Path) -> Path:
    """Make the folder, with packages that our processes must not load though they are called like ours."""
    for name in NAMES:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(
            "raise ImportError('This is not a package of sunledger.')\n"
        )
    return place
