"""What several machines can't do without, each as a sentence with what to set. Looks at settings only."""

from collections.abc import Iterator
from importlib.util import find_spec

from pipeline.common.errors import ConfigurationError
from pipeline.common.settings import Settings

# What each kind of cluster imports, beside what all of them do.
MODULES = {"celery": ("dagster_celery", "celery"), "kubernetes": ("dagster_k8s",)}
SHARED_MODULES = ("dagster_postgres", "psycopg2", "redis", "cryptography")


def check_cluster(settings: Settings) -> None:
    """Raise ConfigurationError for the first setting that can't be on several machines. Without a cluster all can."""
    if settings.cluster != "none":
        for complaint in _list_complaints(settings):
            raise ConfigurationError(
                f"SUNLEDGER_CLUSTER={settings.cluster} can't work like this: {complaint}"
            )


def _list_complaints(settings: Settings) -> Iterator[str]:
    if not settings.cluster_postgres_url.get_secret_value():
        yield (
            "Dagster's records would be SQLite files, which other machines can't open. Set "
            "SUNLEDGER_CLUSTER_POSTGRES_URL to a PostgreSQL that all of them reach."
        )
    if not settings.budget_url.get_secret_value():
        yield (
            "the request budget would be a file of each machine, so that together they would send more than SMA "
            "allows. Set SUNLEDGER_BUDGET_URL to a Redis that all of them reach."
        )
    if "://" not in settings.lake:
        yield (
            f"the lake {settings.lake} is a folder of this machine. Set SUNLEDGER_LAKE to an object store, "
            "for instance s3://bucket/prefix."
        )
    elif not settings.publish_target and not settings.lake.startswith("s3://"):
        yield (
            f"the published file would be an object in {settings.lake}, and only S3 stores can replace one safely. "
            "Set SUNLEDGER_PUBLISH_TARGET to s3://bucket/name.duckdb, or to a folder that all of them share."
        )
    if not settings.cluster_key.get_secret_value():
        what = "the login of the code flow" if settings.sma_flow == "code" else "the consents of owners"
        yield (
            f"{what} would be stored on the disk of one machine. Set SUNLEDGER_CLUSTER_KEY, the same on all of "
            "them, so that it is stored in PostgreSQL, encrypted ('openssl rand -base64 32' prints a key)."
        )
    if settings.cluster == "celery" and not settings.cluster_broker_url.get_secret_value():
        yield "workers would get no runs. Set SUNLEDGER_CLUSTER_BROKER_URL to a Redis that all of them reach."
    if settings.cluster == "kubernetes" and not settings.cluster_image:
        yield "Kubernetes would not know what to run. Set SUNLEDGER_CLUSTER_IMAGE to the container image of sunledger."
    missing = [name for name in (*SHARED_MODULES, *MODULES[settings.cluster]) if find_spec(name) is None]
    if missing:
        yield (
            f"the extra 'cluster' is not installed ({missing[0]} is missing). Install it with pip install "
            "'sunledger[cluster]' (in a checkout: pip install --editable '.[cluster]')."
        )
