"""What is read again and again and never changes while tests run, read once in a process.

Each opening of Dagster's records loads the ninety scripts that could bring older ones forward, and each building of the
definitions parses the models' modules to tell the line of each class.
"""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from assets import docs
from schemas import Table

_read_scripts = ScriptDirectory.from_config
_locate_source = docs._locate_source
_scripts: dict[tuple[str | None, str | None], ScriptDirectory] = {}


def keep_what_is_read() -> None:
    """Have this process, and forks of it, read these once."""
    ScriptDirectory.from_config = _find_scripts  # type: ignore[method-assign]
    docs._locate_source = _locate_once  # type: ignore[assignment]


def _find_scripts(config: Config) -> ScriptDirectory:
    place = (config.config_file_name, config.get_main_option("script_location"))
    if place not in _scripts:
        _scripts[place] = _read_scripts(config)
    return _scripts[place]


@cache
def _locate_once(model: type[Table] | None) -> tuple[tuple[Path, int], ...]:
    return tuple(_locate_source(model))
