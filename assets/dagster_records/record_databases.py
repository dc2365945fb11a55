"""Dagster's databases in a home: what each of them holds, and which of them an accident has emptied."""

from pathlib import Path

# Each of Dagster's databases in a home, and what is lost with it.
DATABASES = {
    "history/runs.db": "the list of runs",
    "history/runs/index.db": "the records of materialized partitions, and the results of checks",
    "schedules/schedules.db": "the ticks of schedules and sensors, and which of them were switched on or off",
}
# What the first command leaves that has opened all of them: before it they may be new.
_SIGNS_OF_USE = ("processes", "retention.day")


def list_emptied(dagster_home: Path) -> list[Path]:
    """Databases without a byte in a home that was used. SQLite takes such a file for a new one, without a word."""
    if not any((dagster_home / name).exists() for name in _SIGNS_OF_USE):
        return []
    files = [dagster_home / name for name in DATABASES]
    return [file for file in files if file.is_file() and not file.stat().st_size]


def describe_emptied(dagster_home: Path) -> str:
    """What is lost with them, as a line; empty where there is none."""
    lost = [
        f"{file} is empty ({DATABASES[str(file.relative_to(dagster_home))]})"
        for file in list_emptied(dagster_home)
    ]
    if not lost:
        return ""
    return (
        f"Records of runs are lost and begin again, since {' and '.join(lost)}. No figure comes from them. To have the "
        "former ones, restore the home from a backup.\n"
    )
