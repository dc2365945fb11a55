"""Settings of how the warehouse is operated: storage, machines, schedules and alerts."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from pipeline.common.files.file_modes import Readers
from pipeline.common.setting_values import (
    BudgetUrl,
    ClusterKey,
    PostgresUrl,
    SettingGroup,
    check_asset_prefix,
    check_detail,
    check_home,
    check_lake,
    check_publish_target,
    check_warehouse,
    choose_warehouse,
    split_host_names,
)


class StorageSettings(SettingGroup):
    """Where everything is stored."""

    home: Annotated[Path, AfterValidator(check_home)] = Field(
        default=Path("data"), description="Folder that holds all state. Default: ./data."
    )
    readable_by: Readers = Field(
        default="group",
        description="Users of this machine who may read the files that sunledger writes, except its secrets: owner, "
        "group (the owner's group, for BI tools of other users) or all. Default: group.",
    )
    lake: Annotated[str, AfterValidator(check_lake)] = Field(
        default_factory=lambda data: str(data["home"] / "lake"),
        description="The lake: a folder or s3://bucket/prefix; az://container/prefix and gs://bucket/prefix were never "
        "tried. Default: $SUNLEDGER_HOME/lake.",
    )
    publish_target: Annotated[str, AfterValidator(check_publish_target)] = Field(
        default="",
        description="Where everybody reads what is published: a folder, which then holds sunledger.duckdb, or an "
        "object as s3://bucket/prefix/name.duckdb, of which SUNLEDGER_WAREHOUSE is this machine's copy; see "
        "docs/bi.md. Default: none, and in a cluster _published/sunledger.duckdb in the lake.",
    )
    warehouse: Annotated[Path, AfterValidator(check_warehouse)] = Field(
        default_factory=lambda data: choose_warehouse(data["home"], data.get("publish_target", "")),
        description="The published DuckDB file. Default: sunledger.duckdb in the folder of SUNLEDGER_PUBLISH_TARGET or "
        "in $SUNLEDGER_HOME.",
    )
    detail: Annotated[str, AfterValidator(check_detail)] = Field(
        default="none",
        description="Detail (intervals, hours, quarter hours) that each publication copies into the file, so that it "
        "can be read anywhere: the last days as in 31d, the newest day's month (month), all, or none, which leaves "
        "it in the lake as views that work in this home alone. Earlier days are not in a file with copied detail. "
        "From a lake in an object store, none copies 7d. Default: none.",
    )
    first_day: dt.date = Field(
        default=dt.date(2015, 1, 1),
        description="First day that the warehouse can hold, and the first day partition. Default: 2015-01-01.",
    )
    keep_raw_days: int | None = Field(
        default=None,
        ge=62,
        description="Days after which `sunledger upkeep` removes the raw answers of a day, at least 62. Its tables "
        "stay as they are but can't be rebuilt any more, and a backfill of the day asks SMA again. Default: none, so "
        "that answers stay.",
    )
    keep_set_aside_days: int = Field(
        default=90,
        ge=1,
        description="What a repair has set aside is deleted after so many days, by the next repair or the sensor "
        "retention. Default: 90.",
    )


class ClusterSettings(SettingGroup):
    """Several machines."""

    cluster: Literal["none", "kubernetes", "celery"] = Field(
        default="none",
        description="How runs of Dagster are spread over machines: none (this machine does them), kubernetes (each "
        "run is a Kubernetes Job) or celery (Celery workers, `sunledger worker`); see docs/cluster.md. Needs the extra "
        "`cluster`. Default: none.",
    )
    cluster_postgres_url: PostgresUrl = Field(
        default=SecretStr(""),
        description="PostgreSQL in which the machines of a cluster keep Dagster's records, requests on their way to "
        "the lake, logins and consents: postgresql://user:password@host[:port]/database. Default: none.",
    )
    cluster_broker_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis through which Celery workers get their runs: "
        "redis://[user:password@]host[:port][/database], or rediss:// for TLS. Default: none.",
    )
    cluster_key: ClusterKey = Field(
        default=SecretStr(""),
        description="Secret of at least 32 characters, the same on all machines of a cluster, by which logins and "
        "consents are encrypted in PostgreSQL. Default: none.",
    )
    cluster_runs: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Most runs at a time in a cluster. With Celery at most the slots of all workers together. "
        "Default: 4.",
    )
    cluster_namespace: str = Field(
        default="sunledger",
        pattern="^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        description="Kubernetes namespace of the Jobs. Default: sunledger.",
    )
    cluster_image: str = Field(
        default="",
        description="Container image of the Jobs in Kubernetes, for instance registry.example.org/sunledger:0.1. "
        "Default: none.",
    )
    budget_url: BudgetUrl = Field(
        default=SecretStr(""),
        description="Redis in which machines share the request budget: redis://[user:password@]host[:port][/database], "
        "or rediss:// for TLS. Needs the extra `cluster`. Default: none, the budget is this machine's.",
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Runs among which schedules divide the plants of each day, on workers of a cluster or side by "
        "side; a shard should have at least 1,000 plants. Default: 1, so that one run fetches a day.",
    )


class DagsterSettings(SettingGroup):
    """Schedules and the control room."""

    schedules: Literal["on", "off"] = Field(
        default="off",
        description="Whether schedules and sensors run (on or off), unless the UI has switched them. Default: off.",
    )
    keep_runs_days: int = Field(
        default=90,
        ge=1,
        description="Days after which a run of Dagster is deleted, once newer runs have materialized all its "
        "partitions again. Default: 90.",
    )
    pool_wait_minutes: float = Field(
        default=60,
        gt=0,
        le=1440,
        description="Minutes that a run waits for a slot of a pool that other runs hold. Default: 60.",
    )
    ui_hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(split_host_names)] = Field(
        default=frozenset(),
        description="Host names, separated by commas, under which browsers reach the control room, such as the name "
        "of a proxy in front of it. Requests for other host names are refused. Default: none, so that only "
        "addresses, localhost and the name given to `--host` work.",
    )
    asset_prefix: Annotated[str, AfterValidator(check_asset_prefix)] = Field(
        default="",
        description="Prefix of the keys of all assets in Dagster, such as `solar` or `energy/solar`, and of the names "
        "of ops, jobs, schedules and sensors (`solar_today`), for a project with your own assets. Runs and "
        "partitions that were recorded without the prefix keep their old keys. Default: none.",
    )
    docs_url: str = Field(
        default="",
        description="URL of the folder docs/, such as `https://git.example.org/sunledger/blob/main/docs`, to which "
        "assets in Dagster link. Default: none, so that assets only name the file.",
    )


class AlertSettings(SettingGroup):
    """Alerts."""

    alert_smtp: SecretStr = Field(
        default=SecretStr(""),
        description="Mail server for alerts, smtp[s]://[user:password@]host[:port]; smtp uses STARTTLS. Default: none.",
    )
    alert_mail_from: str = Field(default="", description="Sender of alerts by mail. Default: none.")
    alert_mail_to: str = Field(
        default="", description="Receivers of alerts by mail, separated by commas. Default: none."
    )
    alert_webhook: SecretStr = Field(
        default=SecretStr(""),
        description="URL to which alerts are posted as JSON with the keys title, text and resolved. Default: none.",
    )
    alert_slack: SecretStr = Field(
        default=SecretStr(""), description="Slack-compatible webhook for alerts. Default: none."
    )
    alert_eur: int | None = Field(
        default=None,
        ge=1,
        description="Amount in EUR above which the cost of this month's PU raises an alert. Default: none.",
    )
