"""Faults of Dagster's home, each as a sentence with what to do. Who imports this loads Dagster."""

import resource
import sqlite3
from pathlib import Path

from alembic.util.exc import CommandError
from dagster import DagsterError, DagsterInvalidConfigError
from dagster_shared.check import CheckError
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from assets.dagster_records.record_databases import DATABASES
from pipeline.common.errors import SunledgerError
from pipeline.common.shared_session import find_shared_session

DAMAGED = ("malformed", "not a database", "encrypted")


class DagsterHomeError(SunledgerError):
    """Dagster's home can't be used as it is."""


def explain(fault: BaseException, dagster_home: Path, *, records_only: bool = False) -> SunledgerError | None:
    """The fault of a home as a sunledger error; None where it is another kind of fault.

    With `records_only` it is about the databases, and not about dagster.yaml.
    """
    causes = list(_list_causes(fault))
    if any(isinstance(cause, CommandError) for cause in causes):
        return DagsterHomeError(
            f"Dagster's records in {dagster_home} have more than one version, because two processes created them at "
            "the same time: run 'sunledger repair', which loses nothing."
        )
    database = next((cause for cause in causes if isinstance(cause, SQLAlchemyError | sqlite3.Error)), None)
    if database is not None:
        return DagsterHomeError(_find_database(database, dagster_home))
    settings = not records_only and isinstance(
        fault, DagsterInvalidConfigError | CheckError | YAMLError | DagsterError | ImportError | ValueError
    )
    if settings:
        file = dagster_home / "dagster.yaml"
        return DagsterHomeError(
            f"{file} can't be used ({_take_first_line(fault)}): correct it, or move it away so that it is created "
            "again."
        )
    return None


def _list_causes(fault: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    at: BaseException | None = fault
    while at is not None and at not in found:
        found.append(at)
        at = getattr(at, "orig", None) or at.__cause__ or at.__context__
    return found


def _find_database(fault: Exception, home: Path) -> str:
    driven: Exception = getattr(fault, "orig", None) or fault
    if type(driven).__module__.partition(".")[0] == "psycopg2":
        return _describe_server(driven)
    said = str(getattr(fault, "orig", None) or fault).splitlines()[0]
    if any(word in said for word in DAMAGED):
        return (
            f"Dagster's records in {home} are damaged ({said}): run 'sunledger repair', which sets them aside and "
            "creates new ones. The lake and its figures are not affected."
        )
    if "locked" in said:
        return (
            f"Dagster's records in {home} have been in use by another process for too long ({said}): find it with "
            "'sunledger doctor', then run this again."
        )
    if "readonly" in said or "unable to open" in said or "disk" in said:
        return _describe_disk(said, home)
    return (
        f"Dagster's records in {home} can't be read or written ({type(fault).__name__}: {said}): check the disk and "
        "the permissions with 'sunledger doctor', and repair the records with 'sunledger repair'."
    )


def _describe_disk(said: str, home: Path) -> str:
    if folder := next((home / name for name in DATABASES if (home / name).is_dir()), None):
        return (
            f"{folder} is a folder where Dagster has a database: run 'sunledger repair', which sets it aside."
        )
    if "I/O error" in said and resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        return (
            f"Dagster's records in {home} can't be written ({said}), probably because this process may not write files "
            "of that size: raise the limit, as with 'ulimit -f unlimited', then run this again."
        )
    return (
        f"Dagster's records in {home} can't be read or written ({said}): check the free space and the permissions "
        "there, then run it again."
    )


def _describe_server(fault: Exception) -> str:
    """Without what psycopg2 says, which may quote what was sent."""
    session = find_shared_session()
    why = str(session.build_error(fault)) if session else f"PostgreSQL failed ({type(fault).__name__})."
    return (
        f"Dagster's records in PostgreSQL can't be read or written. {why} Then run this again: what is stored is not "
        "fetched a second time."
    )


def _take_first_line(fault: BaseException) -> str:
    lines = [line.strip() for line in str(fault).splitlines() if line.strip()]
    return " ".join(lines[:3])[:300].rstrip(":.") or type(fault).__name__
