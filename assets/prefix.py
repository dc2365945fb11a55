"""Names below a prefix: for who merges the graph into a project with assets, jobs and resources of its own.

The prefix is a setting, because the command line records its runs under the same keys as the page's.
"""

import dagster as dg

from pipeline.common.settings import Settings

# The keys of our resources, which are the names of the parameters that take them. A project has one of each key.
RUNTIME, NOTICES = "sunledger_runtime", "sunledger_notices"


def split_prefix(settings: Settings) -> list[str]:
    """The parts of the prefix of asset keys; none by default."""
    return settings.asset_prefix.split("/") if settings.asset_prefix else []


def build_key(settings: Settings, table: str) -> dg.AssetKey:
    """The key of the asset of that name."""
    return dg.AssetKey([*split_prefix(settings), table])


def build_step_key(settings: Settings, table: str) -> str:
    """The name of the op that makes the asset of that name, which is its step's key in each run."""
    return build_key(settings, table).to_python_identifier()


def build_name(settings: Settings, name: str) -> str:
    """The name of a job, schedule or sensor: of those, too, a project has one of each name."""
    return "_".join([*split_prefix(settings), name])
