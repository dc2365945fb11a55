"""The published DuckDB file: built from one snapshot of the lake beside the old file, then put in its place.

No writer ever opens the published file, so readers are neither blocked nor broken: who has it open keeps the
old one, who opens it next gets the new one. Report tables are copied into the file; detail tables are views
over the Parquet files of the snapshot, which the lake keeps for days after they were replaced. Views reach
local files only, so from an object store the newest days of the detail tables are copied, and a script beside the file
makes views of all days where the reader has httpfs. From any lake detail is copied where `detail` says so.

One publication at a time: a lock beside the file makes the next one wait and read newer snapshots. What clients do to
the file reaches no later one, and no reader unseen: `warehouse.published_file.publication` says how.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from pipeline.common.files.atomic_files import sync_file, sync_folder
from pipeline.common.files.machine_faults import explain_machine_fault
from pipeline.common.files.refused_files import explain_by_number, find_refusal
from pipeline.common.store_faults import find_store_error
from pipeline.common.text import pluralize
from schemas import TABLES, Table, storage
from warehouse.integrity.damage import CURE, Damage, DamagedError
from warehouse.integrity.gate import find_damage, take_snapshots
from warehouse.lake import Lake, Snapshot
from warehouse.published_file.clocks import build_clocks
from warehouse.published_file.detail import NONE
from warehouse.published_file.foreign_publication import describe_other_lake, is_of_other_lake
from warehouse.published_file.lake_script import write_lake_script
from warehouse.published_file.open_published import take_first_line
from warehouse.published_file.origin_tables import hash_clocks
from warehouse.published_file.own_tables import LeftOut, hash_own_files
from warehouse.published_file.publication import (
    PublicationDigest,
    digest_file,
    find_log,
    forbid_log,
    record_publication,
)
from warehouse.published_file.publication_base import (
    PublicationInputs,
    RecordedBase,
    Sources,
    find_last_due_day,
    forget_base,
    hash_maker,
    read_base,
    record_sources,
    take_base,
)
from warehouse.published_file.publication_turn import PublishError, delete_hidden, hold_turn, reserve_name
from warehouse.published_file.published_content import (
    LITTLE_MEMORY,
    Content,
    Occasion,
    PublicationPlan,
    build,
    list_making,
    place_file_guard,
    plan_content,
)


class DamagedLakeError(PublishError):
    """Stored data differs from what was written, so it was not published."""

    def __init__(self, target: Path, damages: Sequence[Damage]) -> None:
        first = str(damages[0]).removesuffix(CURE).rstrip(" .")
        others = f", and {pluralize(len(damages) - 1, 'further fault')}" if damages[1:] else ""
        super().__init__(
            f"{target} was not published: {first}{others}. The file that was published before is unchanged. {CURE}"
        )
        self.damages = tuple(damages)


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A published file: its rows by table (curated views are not counted), its size, and the time it took.

    `had_log` says that another program had opened the one before for writing and that its log was removed. `left_out`
    are tables of the user's own that do not fit their description. `digest` is the SHA-256 of the file. `renewed` says
    that there was something new, so that the file is another one than before.
    """

    path: Path
    tables: Mapping[str, int]
    bytes: int
    seconds: float
    had_log: bool
    digest: str
    left_out: tuple[LeftOut, ...] = ()
    renewed: bool = True


def publish(
    lake: Lake,
    target: Path,
    *,
    now: dt.datetime,
    version: str,
    own_tables: Path | None = None,
    detail: str = NONE,
    places: tuple[Path, ...] | None = None,
) -> PublishedFile:
    """Build a new file from the lake's newest snapshots and put it in the place of `target`.

    What did not change since the publication before is taken from it, unless there is any doubt about that one. Where
    nothing changed the file stays as it is, with its own moment in `_meta`, until another day is expected in it.

    `now` (with time zone) and `version` (of the product) go into the table `_meta`, and the tables of the folder
    `own_tables` beside ours. `detail` says how much detail is copied into the file, as SUNLEDGER_DETAIL does. Views of
    the lake's files work where the file is opened at one of `places`, by default at `target`. All
    snapshots are taken before the first row is read. `target` is replaced whole or not at all. Raises PublishError,
    DamagedLakeError where what is stored is not what was written, and ValueError for a `now` without time zone.
    """
    if now.tzinfo is None:
        raise ValueError("now has no time zone")
    begun = time.monotonic()
    # For a link, its target is replaced instead of the link.
    named, target = target, target.resolve()
    with _explain_faults(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with hold_turn(target, lake.tell), reserve_name(target) as file:
            snapshots = _take_sound_snapshots(lake, target)
            plan = plan_content(
                {m: snapshot for m, snapshot in snapshots.items() if storage(m).published != "no"}, detail
            )
            occasion = Occasion(
                now, version, places or (target, named.absolute()), own_tables, hash_own_files(own_tables)
            )
            place_beside = partial(_place_beside, lake, plan, snapshots, occasion.places, target)
            inputs = _list_inputs(lake, plan, occasion)
            recorded = read_base(target, inputs.made_by)
            if recorded is None and is_of_other_lake(target, lake):
                raise PublishError(f"{describe_other_lake(target, lake)} It is unchanged.")
            if recorded and (unchanged := _find_unchanged(recorded, named, inputs, now)):
                # Somebody may have removed the files beside it in the meantime, so they are written again.
                place_beside()
                return _report(target, recorded.sources, unchanged, begun, renewed=False)
            write = partial(build, lake, plan, file, occasion)
            sources = _write_within_memory(target, recorded, write, file, inputs)
            put, had_log = _replace_published(named, target, file, sources, place_beside)
    return _report(target, sources, put, begun, had_log=had_log)


@contextmanager
def _explain_faults(target: Path) -> Iterator[None]:
    """Raise what the lake, DuckDB and the disk raise within the block as the errors that `publish` names."""
    try:
        yield
    except DamagedError as fault:
        raise DamagedLakeError(target, [fault.damage]) from fault
    except duckdb.ConstraintException as fault:
        raise PublishError(
            f"{target} was not published: {take_first_line(fault)} Rows that an older version stored lack this column. "
            "The file that was published before is unchanged: rebuild the rows with 'sunledger rebuild', which sends "
            "no request to SMA."
        ) from fault
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException) as fault:
        if error := find_store_error(fault):
            raise error from fault
        if said := explain_by_number(fault, target):
            raise PublishError(f"{target} was not published. {said}") from fault
        if refusal := find_refusal(fault):
            raise PublishError(f"{target} was not published. {refusal}") from fault
        # Where DuckDB may not put more on the disk it calls that a lack of memory too, and names the setting.
        if isinstance(fault, duckdb.OutOfMemoryException) and "temp_directory" not in str(fault):
            said = explain_machine_fault(fault)
            raise PublishError(f"{target} was not published, and is as it was. {said}") from fault
        raise PublishError(
            f"{target} was not published: {take_first_line(fault)} The file that was published before is unchanged: "
            "check that the folders of the lake and of the file exist and have free space, then run 'sunledger "
            "publish' again."
        ) from fault


def _take_sound_snapshots(lake: Lake, target: Path) -> dict[type[Table], Snapshot]:
    """The newest snapshot of each table. Raises DamagedLakeError if one of them is not what was written."""
    snapshots = take_snapshots(lake, TABLES)
    if damages := find_damage(lake, snapshots):
        raise DamagedLakeError(target, damages)
    return snapshots


def _list_inputs(lake: Lake, plan: PublicationPlan, occasion: Occasion) -> PublicationInputs:
    """What this publication is made of, to compare it with the publication before."""
    # Without views the file can be opened anywhere, so another machine may go on from it.
    opened_at = () if lake.remote else occasion.places
    return PublicationInputs(
        hash_maker([occasion.version, lake.root, opened_at, *list_making(plan)]),
        plan.list_sources(),
        {storage(model).table: snapshot.version for model, snapshot in plan.snapshots.items()},
        occasion.own,
        find_last_due_day(occasion.now),
    )


def _report(
    target: Path,
    sources: Sources,
    published: PublicationDigest,
    begun: float,
    *,
    had_log: bool = False,
    renewed: bool = True,
) -> PublishedFile:
    return PublishedFile(
        path=target,
        tables=sources.rows,
        bytes=published.bytes,
        seconds=time.monotonic() - begun,
        had_log=had_log,
        left_out=tuple(LeftOut(name, reason) for name, reason in sources.left_out),
        digest=published.content,
        renewed=renewed,
    )


def _place_beside(
    lake: Lake,
    plan: PublicationPlan,
    snapshots: Mapping[type[Table], Snapshot],
    places: Sequence[Path],
    target: Path,
) -> None:
    """Place what a published file needs in the lake, and what lies beside it. Raises OSError."""
    place_file_guard(lake, plan, places)
    if lake.remote:
        write_lake_script(lake, snapshots, target)


def _find_unchanged(
    recorded: RecordedBase, named: Path, inputs: PublicationInputs, now: dt.datetime
) -> PublicationDigest | None:
    """The publication that is there, if the next one would be equal; None where there is any doubt.

    Who has the file open for writing keeps it open, so where there was a log it is replaced.
    """
    if find_log(named) or forbid_log(named):
        return None
    if recorded.sources.clocks != hash_clocks(build_clocks(recorded.sources.zones, now)):
        return None
    return recorded.find_unchanged(named.resolve(), inputs)


def forget_published(target: Path, tell: Callable[[str], None]) -> None:
    """Have the next publication of `target` built from nothing. One that runs now would be its base: it ends before.

    `tell` gets who publishes it while this waits. Raises PublishError.
    """
    target = target.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with hold_turn(target, tell):
            forget_base(target)
    except OSError as fault:
        raise PublishError(
            f"{target} was not published: {take_first_line(fault)} The file that was published before is unchanged: "
            "check that its folder exists and can be written to, then run 'sunledger publish' again."
        ) from fault


def _write_within_memory(
    target: Path,
    recorded: RecordedBase | None,
    write: Callable[..., Content],
    file: Path,
    inputs: PublicationInputs,
) -> Sources:
    """Write the new file within little memory, or with what DuckDB takes where that is not enough; what is in it."""
    try:
        base, content = _write_content(target, recorded, partial(write, memory=LITTLE_MEMORY), file)
    except duckdb.OutOfMemoryException:
        delete_hidden(file.parent, file.name)
        base, content = _write_content(target, recorded, partial(write, memory={}), file)
    return Sources(
        inputs,
        content.footers,
        content.zones,
        content.clocks,
        content.rows,
        [[one.name, one.reason] for one in content.left_out],
        full_bytes=base.full_bytes if base else file.stat().st_size,
    )


def _write_content(
    target: Path, recorded: RecordedBase | None, write: Callable[..., Content], file: Path
) -> tuple[Sources | None, Content]:
    """Write the new file, and return the publication that it went on from, None for one that was built from nothing."""
    base = take_base(target, file, recorded)
    content = _build_from(base, write, file)
    return (None, write()) if content is None else (base, content)


def _build_from(base: Sources | None, write: Callable[..., Content], file: Path) -> Content | None:
    """Change the copy of the publication before; None, and no file, where there is none or it can't be changed."""
    if base is None:
        return None
    try:
        return write(base=base)
    except duckdb.OutOfMemoryException:
        raise
    except (KeyError, ValueError, duckdb.Error):
        # A file that is built from nothing does not have the fault of the copy, whatever that is.
        delete_hidden(file.parent, file.name)
        return None


def _replace_published(
    named: Path, target: Path, file: Path, sources: Sources, place_beside: Callable[[], None]
) -> tuple[PublicationDigest, bool]:
    """Put the new file in the place of the old one; its digests, and whether a log of the old one was removed."""
    had_log = forbid_log(named)
    place_beside()
    put = _put(file, target, sources)
    # A session on the old file that was just emptying its log may have put it back.
    return put, had_log | forbid_log(named)


def _put(file: Path, target: Path, sources: Sources) -> PublicationDigest:
    """Make the closed file durable, put it in the place of `target`, and return its digests."""
    sync_file(file)
    published = digest_file(file)
    record_publication(published, target)
    record_sources(sources, published, target)
    file.replace(target)
    sync_folder(target.parent)
    return published
