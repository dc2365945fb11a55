"""Make a damaged lake readable: logs are made whole, and damaged files taken out of them and set aside.

Nothing is deleted. What a part held is not guessed where it can be rebuilt: such a part is left empty, and named as
lost, so that its maker fills it. A file that no readable entry names is never taken for rows then. Only of tables that
nothing else tells of, as the answers of SMA, the newest whole file of a part is taken, and said to be.

The steps are in an order that a kill can interrupt anywhere: what will be lost is written down first; an entry that
can't be read is replaced last of all entries; files are moved when no entry names them any more.
"""

import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import SunledgerError
from pipeline.common.files.regular_files import walk_regular_files
from pipeline.common.text import pluralize
from schemas import RAW, TABLES, Quarantine, Table, storage
from warehouse.frames import sort, validate
from warehouse.integrity.damage import Damage, DamageKind
from warehouse.integrity.digests import FOLDER as DIGESTS
from warehouse.integrity.log_check import check_log
from warehouse.lake import Lake, Part
from warehouse.lake_log import (
    LOG,
    Action,
    LogState,
    TableLog,
    build_add,
    build_remove,
    read_log,
    replay,
    write_entry,
    write_text,
)
from warehouse.part_folders import find_folder
from warehouse.published_file.published_copy import PublishedCopy, is_current
from warehouse.repairs.lost_parts import LostPart, Step, name_file_place
from warehouse.repairs.repair_records import RecordedTable, adopt_known, commit_repair, read_recorded
from warehouse.repairs.table_remains import (
    build_first_actions,
    find_content,
    find_target,
    list_data_files,
    names_part,
)
from warehouse.verification.verify import list_damages


@dataclass(slots=True)
class LakeRepair:
    """Makes the lake of a home readable.

    `note` keeps lost parts before anything is taken out; `made` says of which tables every part can be rebuilt.
    """

    lake: Lake
    aside: Path
    made: Collection[type[Table]]
    copy: PublishedCopy | None
    note: Callable[[Iterable[LostPart]], None]
    steps: list[Step] = field(default_factory=list)

    def run(self) -> list[Step]:
        """Repair logs, then take out what can't be read. Call it while nobody writes to the lake."""
        for model in TABLES:
            recorded = read_recorded(self.lake, model)
            if self._find_folder(model).is_dir() or recorded.version >= 0:
                self._mend_table(model, recorded)
        # A handle that was opened before would continue from the old log.
        self.lake = Lake(self.lake.root, self.lake.scratch)
        found = list_damages(self.lake)
        # What is wrong with a table as a whole was wrong with its log.
        for damage in self._put_right([one for one in found if one.part is not None]):
            if damage.model is not None and damage.part is not None:
                self._take_out(damage, damage.model, damage.part)
        return self.steps

    def _find_folder(self, model: type[Table]) -> Path:
        return Path(self.lake.find_uri(model))

    def _mend_table(self, model: type[Table], recorded: RecordedTable) -> None:
        """Have the log say what was committed, as far as records, entries and files tell, and set the rest aside."""
        folder = self._find_folder(model)
        files = list_data_files(folder)
        log = self._restore_entries(model, recorded, self._find_known_version(model, files))
        if log.version < 0 and not files:
            return
        if log.version < 0:
            log.version, log.actions, log.damaged = 0, {0: []}, {0: "is missing"}
        before, target = replay(log), find_target(log, recorded)
        unknown = files - before.named - target.named
        untold = {version for version in log.damaged if version > recorded.version}
        settled_at = max(untold, default=-1)
        doubtful = {
            find_folder(path)
            for path in unknown
            if names_part(model, find_folder(path))
            and target.replaced_at.get(find_folder(path), -1) <= settled_at
        }
        if not untold:
            doubtful = set()
        if log.damaged:
            self._mend_entries(model, log, target, doubtful, unknown)
        removed: set[str] = set()
        if recorded.version >= 0:
            removed = self._correct(model, log, target, doubtful, recorded)
        for file, fault in log.bad_files.items():
            self._move(file)
            self._tell(
                storage(model).table, f"{file.name} {fault}", "set aside; the log holds the same facts"
            )
        active = replay(read_log(folder / LOG)).active
        for path in sorted((unknown | removed) - active.keys()):
            if (folder / path).exists():
                self._move(folder / path)
                self._tell(
                    name_file_place(model, path), f"{Path(path).name} belongs to no commit", "set aside"
                )
        self._renew_records(model, recorded, active)

    def _restore_entries(self, model: type[Table], recorded: RecordedTable, at_least: int) -> TableLog:
        """Put entries back that are not what was committed, where a record has their text; the log then."""
        folder = self._find_folder(model) / LOG
        log = read_log(folder, max(at_least, recorded.version))
        for version, text in sorted(recorded.texts.items()):
            file = folder / f"{version:020d}.json"
            if file.exists():
                if file.read_bytes() == text.encode():
                    continue
                self._copy(file)
            elif version not in log.damaged:
                # Delta removes old entries.
                continue
            write_text(log, version, text, over=True)
            fault = log.damaged.get(version, "differs from its commit")
            self._tell(
                storage(model).table, f"entry {version} of the log {fault}", "restored as it was committed"
            )
        return read_log(folder, max(at_least, recorded.version))

    def _correct(
        self,
        model: type[Table],
        log: TableLog,
        target: LogState,
        doubtful: Collection[str],
        recorded: RecordedTable,
    ) -> set[str]:
        """Commit what the log says otherwise than was recorded; the files that it does not name any more."""
        folder = self._find_folder(model)
        now = replay(read_log(folder / LOG)).active
        removed = {path for path in now if path not in target.active and find_folder(path) not in doubtful}
        lacking = {path for path in target.active if path not in now and find_folder(path) not in doubtful}
        gone = {path for path in lacking if not (folder / path).is_file()}
        told = replay(log)
        self.note(
            LostPart(model, place, self._find_current_copy(model, log, told, place))
            for place in map(find_folder, gone)
        )
        actions = [build_remove(path) for path in sorted(removed)]
        actions += [{"add": target.active[path]} for path in sorted(lacking - gone)]
        if actions:
            commit_repair(self.lake, model, actions, recorded.files)
            text = "its log differs from what was committed"
            self._tell(storage(model).table, text, "corrected by a further commit")
        return removed

    def _renew_records(self, model: type[Table], recorded: RecordedTable, active: Collection[str]) -> None:
        """Begin the records of digests again where they do not belong to the log."""
        damages = check_log(Lake(self.lake.root, self.lake.scratch), model).damages
        if not damages:
            return
        if recorded.version < 0 and model in self.made:
            # Nobody can say whether the files are what was written: so they are compared with what they are made from.
            self.note(LostPart(model, folder) for folder in sorted(set(map(find_folder, active))))
        old = adopt_known(self.lake, model, recorded.files)
        for version in old:
            self._move(Path(self.lake.root) / DIGESTS / storage(model).table / f"{version:020d}.json")
        self._tell(damages[0].place, damages[0].fault, "its digests begin again with the present content")

    def _tell(self, where: str, found: str, done: str) -> None:
        self.steps.append(Step(where, found, done))

    def _put_right(self, damages: Sequence[Damage]) -> list[Damage]:
        """Put files back that lie elsewhere, as after an exchange, by their digests; the rest of the damages."""
        damaged = [
            (one, self._find_folder(one.model) / one.file) for one in damages if one.model and one.file
        ]
        known = {one.model: read_recorded(self.lake, one.model).files for one, _ in damaged if one.model}
        # In a folder of another day or table, or where an earlier repair has set it aside.
        lying = [file for _, file in damaged if file.is_file()]
        lying += (file for file in walk_regular_files(self.aside.parent) if file.suffix == ".parquet")
        found: dict[Path, Path] = {}
        for one, file in damaged:
            written = known[one.model].get(one.file) if one.model and one.file else None
            if written is not None and (source := find_content(written, lying)):
                found[file] = source
        for file, source in found.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, f"{file}.new")
        for file in found:
            if file.exists():
                self._move(file)
            Path(f"{file}.new").replace(file)
        back = [one for one, file in damaged if file in found]
        for one in back:
            self._tell(one.place, one.fault, "restored from another file with the committed content")
        return [one for one in damages if one not in back]

    def _find_known_version(self, model: type[Table], files: Collection[str]) -> int:
        """A version that the table is known to have had, where there is something of it."""
        return self.copy.versions.get(storage(model).table, -1) if self.copy and files else -1

    def _mend_entries(
        self, model: type[Table], log: TableLog, state: LogState, doubtful: set[str], unknown: set[str]
    ) -> None:
        """Write what is known in the place of damaged entries, and last what becomes of the parts in doubt.

        Parts that come into doubt here are added to them.
        """
        corrections, lost = self._settle_parts(model, log, state, doubtful, unknown)
        if model in self.made or model is Quarantine:
            lost += _list_unexplained_parts(model, log, state, doubtful, unknown)
        elif replaced := self._list_newer_copies(model, log, state, doubtful, unknown):
            lost += [LostPart(model, name, at) for name, at in replaced.items()]
            corrections += [build_remove(path) for path in state.active if find_folder(path) in replaced]
            doubtful.update(replaced)
        self.note(lost)
        self._write_entries(model, log, corrections)

    def _settle_parts(
        self, model: type[Table], log: TableLog, state: LogState, doubtful: set[str], unknown: set[str]
    ) -> tuple[list[Action], list[LostPart]]:
        """What the log has to say of the parts in doubt, and which of them are lost."""
        corrections: list[Action] = []
        lost: list[LostPart] = []
        for folder in sorted(doubtful):
            active = [path for path in state.active if find_folder(path) == folder]
            found = [path for path in unknown if find_folder(path) == folder]
            current = self._find_current_copy(model, log, replay(log), folder)
            newest = None
            if current is None and model not in self.made:
                newest = self._find_newest_whole(model, [*active, *found])
            if newest is None:
                corrections += [build_remove(path) for path in active]
                lost.append(LostPart(model, folder, current))
                continue
            corrections += [build_remove(path) for path in active if path != newest]
            corrections += [] if newest in active else [self._build_adding(model, newest)]
            self._tell(
                name_file_place(model, newest),
                f"{pluralize(len(active + found), 'file')}, and no commit says which one is the newest",
                f"the newest undamaged file is used: {newest}",
            )
        return corrections, lost

    def _list_newer_copies(
        self, model: type[Table], log: TableLog, state: LogState, doubtful: set[str], unknown: set[str]
    ) -> dict[str, int]:
        """The parts that the published file has from a later version than the log tells of, with that version.

        An older copy of the table may be what is left of it: the published file has what it held since.
        """
        if self.copy is None or self.copy.read_version(model) < max(log.damaged):
            return {}
        if len(log.damaged) <= len(unknown):
            return {}
        newer = {
            name: self._find_current_copy(model, log, state, name) for name in self.copy.list_folders(model)
        }
        return {name: at for name, at in newer.items() if at is not None and name not in doubtful}

    def _write_entries(self, model: type[Table], log: TableLog, corrections: list[Action]) -> None:
        """Write the damaged entries again as far as they are known, the corrections in the last of them."""
        last = max(log.damaged)
        for version, fault in sorted(log.damaged.items()):
            name = f"{version:020d}.json"
            if (log.folder / name).exists():
                self._copy(log.folder / name)
            actions = log.actions[version]
            if version == 0 and not {"protocol", "metaData"} <= {kind for one in actions for kind in one}:
                actions = [
                    *build_first_actions(model),
                    *(one for one in actions if {"add", "remove"} & set(one)),
                ]
            log.folder.mkdir(parents=True, exist_ok=True)
            write_entry(log, version, [*actions, *(corrections if version == last else [])], over=True)
            self._tell(
                storage(model).table,
                f"entry {version} of the log {fault}",
                "written again as far as its content is known",
            )

    def _find_current_copy(
        self, model: type[Table], log: TableLog, state: LogState, folder: str
    ) -> int | None:
        """The version of the published file, where its copy of the part is what the lake had."""
        version = self.copy.read_version(model) if self.copy else -1
        return version if is_current(version, log, state, folder) else None

    def _find_newest_whole(self, model: type[Table], paths: Iterable[str]) -> str | None:
        """The file that was written last of those that can be read and hold rows of the model."""
        folder = self._find_folder(model)
        there = [path for path in paths if (folder / path).is_file()]
        for path in sorted(there, key=lambda path: (folder / path).stat().st_mtime_ns, reverse=True):
            try:
                for frame in self.lake.read_files(
                    model, [f"{self.lake.find_uri(model)}/{path}"], checked=True
                ):
                    validate(model, frame, {})
                    sort(model, frame, {})
            except (SunledgerError, OSError, pa.ArrowException, pl.exceptions.PolarsError):
                continue
            return path
        return None

    def _build_adding(self, model: type[Table], path: str) -> Action:
        file = self._find_folder(model) / path
        return build_add(path, file.stat().st_size, pq.read_metadata(file).num_rows)

    def _take_out(self, damage: Damage, model: type[Table], part: Part) -> None:
        """Take the damaged files of a part out of the log, and set them aside."""
        if damage.kind is DamageKind.ROWS_INVALID and model not in {*self.made, *RAW}:
            done = "left unchanged, because no other file has these rows: restore it from a backup"
            self.steps.append(Step(damage.place, damage.fault, done))
            return
        folder = self._find_folder(model)
        name = "/".join(f"{column}={value}" for column, value in part.items())
        log = read_log(folder / LOG)
        state = replay(log)
        active = {path: said for path, said in state.active.items() if find_folder(path) == name}
        # Rows that break a rule now were published as they are.
        invalid = damage.kind is DamageKind.ROWS_INVALID
        self.note(
            [LostPart(model, name, None if invalid else self._find_current_copy(model, log, state, name))]
        )
        removing = [build_remove(path, said["size"]) for path, said in active.items()]
        commit_repair(self.lake, model, removing, read_recorded(self.lake, model).files)
        for path in active:
            if (folder / path).exists():
                self._move(folder / path)
        self.steps.append(
            Step(damage.place, damage.fault, "removed from the log; its remains were set aside")
        )

    def _move(self, file: Path) -> None:
        target = self._choose_target(file)
        shutil.move(file, target)

    def _copy(self, file: Path) -> None:
        shutil.copy2(file, self._choose_target(file))

    def _choose_target(self, file: Path) -> Path:
        """Where a file is kept from now on: a name of its own below `aside`."""
        target = self.aside / file.relative_to(self.lake.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def _list_unexplained_parts(
    model: type[Table], log: TableLog, state: LogState, doubtful: set[str], unknown: set[str]
) -> list[LostPart]:
    """The parts that a damaged entry may have changed of which no file is left.

    Such an entry has emptied a part, or its file is gone: whatever is older is in doubt.
    """
    unexplained = [
        v for v in log.damaged if v and not any({"add", "remove"} & set(a) for a in log.actions[v])
    ]
    if len(unexplained) <= len(unknown):
        return []
    last = max(log.damaged)
    older = {find_folder(path) for path in state.active if state.replaced_at[find_folder(path)] < last}
    return [LostPart(model, folder) for folder in sorted(older - doubtful)]
