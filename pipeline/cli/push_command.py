"""`sunledger push`: the report tables of the published file in a PostgreSQL server, for BI servers."""

from typing import Annotated

import typer

from pipeline.common.errors import ConfigurationError


def run_push(
    *,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Write every table, also what did not change, and also where the server has a newer publication or "
            "one of another home.",
        ),
    ] = False,
) -> None:
    """Write what changed of the published report tables to PostgreSQL (SUNLEDGER_PUSH_URL), for BI servers."""
    from pipeline.cli.console import say
    from pipeline.common.settings import load_settings
    from warehouse.database_server.push import PushTarget, push_published
    from warehouse.database_server.push_origin import list_lake_ids
    from warehouse.lake import Lake
    from warehouse.published_file.published_object import fetch_published

    settings = load_settings()
    if not (url := settings.push_url.get_secret_value()):
        raise ConfigurationError(
            "SUNLEDGER_PUSH_URL is not set: set it to the PostgreSQL that gets the tables, as in "
            "postgresql://user:password@host/database."
        )
    target = PushTarget(url, settings.push_schema, settings.push_reader)
    source = fetch_published(settings, say)
    lake_ids = list_lake_ids(Lake(settings.lake, settings.home / "tmp"))
    say(push_published(source, target, lake_ids=lake_ids, full=full, tell=say).describe())
