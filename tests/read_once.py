"""What is read again and again and never changes while tests run, read once in a process.

Each opening of Dagster's records loads the ninety scripts that could bring older ones forward.
"""

from alembic.config import Config
from alembic.script import ScriptDirectory

_read_scripts = ScriptDirectory.from_config
_scripts: dict[tuple[str | None, str | None], ScriptDirectory] = {}


def keep_what_is_read() -> None:
    """Have this process, and forks of it, read them once."""
    ScriptDirectory.from_config = _find_scripts  # type: ignore[method-assign]


def _find_scripts(config: Config) -> ScriptDirectory:
    place = (config.config_file_name, config.get_main_option("script_location"))
    if place not in _scripts:
        _scripts[place] = _read_scripts(config)
    return _scripts[place]
