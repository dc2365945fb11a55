"""Is the lake whole? Every active part is read again: page checksums, row counts, the model's rules, the key.

And is the published file what was published? It is compared with its digest.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from schemas import TABLES, Table, polars_schema, storage
from warehouse.damage import CURE, Damage, DamageKind
from warehouse.frames import BadFrameError, place, sort, validate
from warehouse.lake import Lake, Part
from warehouse.publish import NotPublishedError, check_published


@dataclass(frozen=True, slots=True)
class Verified:
    """A part that was read, and what is wrong with it (None: nothing)."""

    place: str
    damage: Damage | None

    @property
    def fault(self) -> str | None:
        """The damage as a sentence that ends with its cure."""
        return self.damage.sentence if self.damage else None


def verify_lake(lake: Lake) -> Iterator[Verified]:
    """One result for each part of each table, tables in their order of definition."""
    for model in TABLES:
        schema = polars_schema(model)
        for texts in lake.parts(model) if storage(model).partition else [{}]:
            part: Part = {
                name: dt.date.fromisoformat(text) if schema[name] == pl.Date else text
                for name, text in texts.items()
            }
            if lake.snapshot(model, part).files:
                yield Verified(place(model, part), _find_damage(lake, model, part))


def verify_published(path: Path) -> Iterator[Verified]:
    """One result for the published file; none where nothing is published yet."""
    if not path.exists():
        return
    try:
        check_published(path)
    except NotPublishedError as fault:
        yield Verified("warehouse", Damage(DamageKind.PUBLISHED_CHANGED, None, None, None, str(fault)))
    else:
        yield Verified("warehouse", None)


def _find_damage(lake: Lake, model: type[Table], part: Part) -> Damage | None:
    files = lake.files(model)
    root = f"{lake.uri(model)}/"
    for uri in lake.snapshot(model, part).files:
        name = uri.removeprefix(root)
        try:
            with (
                files.open_input_file(name) as handle,
                pq.ParquetFile(handle, page_checksum_verification=True) as parquet,
            ):
                # Batches, not the whole: a raw part can be larger than memory.
                rows = sum(
                    batch.num_rows for batch in parquet.iter_batches(batch_size=storage(model).row_group)
                )
                expected = parquet.metadata.num_rows
            if rows != expected:
                sentence = f"{name} holds {rows} of its {expected} rows. {CURE}"
                return Damage(DamageKind.FILE_CHANGED, model, part, name, sentence)
        except FileNotFoundError:
            return Damage(DamageKind.FILE_MISSING, model, part, name, f"its file {name} is not there. {CURE}")
        except (OSError, pa.ArrowException) as fault:
            sentence = f"its file {name} can't be read ({fault}). {CURE}"
            return Damage(DamageKind.FILE_UNREADABLE, model, part, name, sentence)
    return _find_bad_rows(lake, model, part)


def _find_bad_rows(lake: Lake, model: type[Table], part: Part) -> Damage | None:
    last: pl.DataFrame | None = None
    try:
        for frame in lake.batches(model, part):
            validate(model, frame, part)
            sort(model, frame if last is None else pl.concat([last, frame]), part)
            last = frame.tail(1)
    except BadFrameError as fault:
        return Damage(DamageKind.ROWS_INVALID, model, part, None, f"{fault} {CURE}")
    except (OSError, pa.ArrowException) as fault:
        sentence = f"it can't be read ({fault}). {CURE}"
        return Damage(DamageKind.FILE_UNREADABLE, model, part, None, sentence)
    return None
