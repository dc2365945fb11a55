"""The scripts that bring older records of Dagster forward, which this process reads once.

Whenever Dagster opens a database, it asks Alembic whether its tables are the newest, and Alembic loads ninety scripts
to tell which revision that is. A run has a database of its own, which is asked about twice, so that a backfill read
them some twenty times. They are part of the installed package, and never change while the program runs.
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

# Where Dagster's packages keep theirs; those of other tools may change while they are worked on.
OF_DAGSTER: Final = "dagster"

# The key is their place, and the folders below it that are named.
_kept: "dict[tuple[str, str | None], ScriptDirectory]" = {}


def keep_revisions() -> None:
    """Have this process, and forks of it, read Dagster's scripts once from now on."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - comes with Dagster, and loads as slowly

    if getattr(ScriptDirectory.from_config, "keeps_scripts", False):
        return
    read_scripts = ScriptDirectory.from_config

    def find_scripts(config: "Config") -> "ScriptDirectory":
        place = config.get_main_option("script_location") or ""
        if not place.startswith(OF_DAGSTER):
            return read_scripts(config)
        # Its three storages have a configuration each, of the same scripts.
        known = (place, config.get_main_option("version_locations"))
        if known not in _kept:
            _kept[known] = read_scripts(config)
        return _kept[known]

    find_scripts.keeps_scripts = True  # type: ignore[attr-defined]
    ScriptDirectory.from_config = find_scripts  # type: ignore[method-assign]
