"""Dagster's own home: a folder of ours with a configuration that sends nothing anywhere."""

from pathlib import Path

from pipeline.settings import Settings

# Usage data: the environment variable alone would still write it to disk. nux asks users for their e-mail address.
CONFIGURATION = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 30
"""


def dagster_home(settings: Settings) -> Path:
    """The folder, made and configured at first use; a configuration that is there already is left alone."""
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    file = home / "dagster.yaml"
    if not file.exists():
        file.write_text(CONFIGURATION)
    return home
