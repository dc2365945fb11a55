"""Homes of older versions: their dagster.yaml names a class of ours for the records, which is no longer there.

The class kept Dagster's own tables in Dagster's own files, so Dagster's own storage goes on with them. Only the part
that names the class is replaced: what else stands in the file, comments included, is the user's.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from assets.dagster_records.start_lock import start_lock
from pipeline.common.errors import SunledgerError
from pipeline.common.files.atomic_files import write_file

FORMER_MODULE = "pipeline.records"
# A line that the former default had above that part.
FORMER_COMMENT = (
    "# Dagster's own SQLite files in $DAGSTER_HOME, written with less CPU time than by Dagster's own storage."
)
COMMENT = "# Dagster's own SQLite files in $DAGSTER_HOME."
DEFAULT_PLACE = {"env": "DAGSTER_HOME"}


def replace_former_storage(dagster_home: Path) -> str:
    """Name Dagster's own storage where dagster.yaml names that class; the sentence that says so, empty for nothing.

    Several processes may do this at once: one of them does it. Raises SunledgerError where the file can't be written.
    """
    file = dagster_home / "dagster.yaml"
    if not _is_former(file):
        return ""
    with start_lock(dagster_home):
        if not _is_former(file):
            return ""
        new = name_own_storage(_read(file))
        if new is None:
            raise SunledgerError(
                f"{file} names {FORMER_MODULE}, which no longer exists, in a way that can't be changed automatically: "
                "write 'storage: {sqlite: {base_dir: {env: DAGSTER_HOME}}}' in place of its part 'storage'."
            )
        try:
            write_file(file.resolve(), new.encode())
        except OSError as error:
            raise SunledgerError(
                f"{file} names {FORMER_MODULE}, which no longer exists, and can't be written "
                f"({error.strerror or error}): make it and its folder writable and run this again, or write 'storage: "
                "{sqlite: {base_dir: {env: DAGSTER_HOME}}}' in place of its part 'storage'."
            ) from None
    return (
        f"Notice: {file} named the storage of an older version. It was replaced by Dagster's own storage, which uses "
        "the same records; nothing else in the file was changed."
    )


def name_own_storage(text: str) -> str | None:
    """The configuration with Dagster's own storage instead of the class; None where that can't be done safely."""
    try:
        settings = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    former = _find_custom(settings)
    if former is None:
        return None
    wanted = {**settings, "storage": {"sqlite": {"base_dir": _read_place(former)}}}
    try:
        key, value = _find_item(_find_item(root, "storage")[1], "custom")
        edits = [(*_read_span(key), "sqlite"), *_plan_edits(value, _read_place(former))]
    except LookupError:
        return None
    new = _apply_edits(text, edits).replace(FORMER_COMMENT, COMMENT)
    try:
        return new if yaml.safe_load(new) == wanted else None
    except yaml.YAMLError:
        return None


def _plan_edits(value: yaml.Node, place: Any) -> Iterator[tuple[int, int, str]]:
    """What to replace in the value of `custom`: from, to, by what."""
    if value.flow_style:
        yield (*_read_span(value), yaml.safe_dump({"base_dir": place}, default_flow_style=True).strip())
        return
    for name in ("module", "class"):
        first, last = _find_item(value, name)
        yield first.start_mark.index, last.end_mark.index, ""
    # What is left of it is one level deeper than it has to be, which is the same to YAML.
    config, _ = _find_item(value, "config")
    yield config.start_mark.index, config.end_mark.index + 1, ""


def _apply_edits(text: str, edits: list[tuple[int, int, str]]) -> str:
    """The text with these edits, without the lines that they leave empty."""
    for start, end, by in sorted(edits, reverse=True):
        before, after = text[:start], text[end:]
        line_before, line_after = before.rpartition("\n")[2], after.partition("\n")[0]
        if not by and not line_before.strip() and not line_after.strip():
            text = before[: len(before) - len(line_before)] + after.partition("\n")[2]
        else:
            text = before + by + after
    return text


def _find_custom(settings: Any) -> dict[str, Any] | None:
    """The part that names the class, if there is one."""
    storage = settings.get("storage") if isinstance(settings, dict) else None
    custom = storage.get("custom") if isinstance(storage, dict) else None
    named = isinstance(custom, dict) and custom.get("module") == FORMER_MODULE
    return custom if named else None


def _read_place(custom: dict[str, Any]) -> Any:
    config = custom.get("config")
    return config.get("base_dir", DEFAULT_PLACE) if isinstance(config, dict) else DEFAULT_PLACE


def _find_item(mapping: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node]:
    """Key and value of that name. Raises LookupError."""
    pairs = mapping.value if isinstance(mapping, yaml.MappingNode) else []
    for key, value in pairs:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            return key, value
    raise LookupError(name)


def _read_span(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def _is_former(file: Path) -> bool:
    text = _read(file)
    if FORMER_MODULE not in text:
        return False
    try:
        return _find_custom(yaml.safe_load(text)) is not None
    except yaml.YAMLError:
        # Whoever opens the home says what is wrong with the file.
        return False


def _read(file: Path) -> str:
    """The text as it is, its line ends included; empty where it can't be read, which whoever opens the home says."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            return opened.read()
    except (OSError, UnicodeDecodeError):
        return ""
