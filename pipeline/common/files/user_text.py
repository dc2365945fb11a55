"""Text files that a user has written, mostly with a spreadsheet: read as they are, or refused with line and cure."""

import codecs
import stat
from pathlib import Path

from pipeline.common.errors import ConfigurationError

_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_AS_CSV = "save its table as 'CSV UTF-8'"


def read_user_text(setting: str, file: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark, or in UTF-16 with one, as Excel writes it.

    Raises ConfigurationError.
    """
    check_user_file(setting, file, "text")
    try:
        data = file.read_bytes()
    except OSError as fault:
        raise build_file_error(
            setting, file, f"it can't be read ({fault.strerror})", "give this user permission to read it"
        ) from fault
    if data.startswith(_WORKBOOKS):
        raise build_file_error(setting, file, "it is a workbook of Excel or the like", _AS_CSV)
    encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise build_file_error(
            setting,
            file,
            f"line {line} is not UTF-8 text",
            f"save it as UTF-8{' (CSV UTF-8 in Excel)' if file.suffix.lower() == '.csv' else ''}",
        ) from fault
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise build_file_error(setting, file, f"line {line} is not text, but has NUL bytes", "write it again")
    return text


def check_user_file(setting: str, file: Path, formats: str) -> tuple[int, int]:
    """Its time of change in ns and its size in bytes.

    Raises ConfigurationError for what is not there or not a file: a pipe would be waited for. `formats` names what it
    may be.
    """
    cure = (
        f"give the path of a {formats} file"
        if setting
        else f"put a {formats} file in its place, or remove it"
    )
    try:
        seen = file.stat()
    except OSError as fault:
        raise build_file_error(setting, file, f"it can't be read ({fault.strerror})", cure) from fault
    if not stat.S_ISREG(seen.st_mode):
        kind = "a folder" if stat.S_ISDIR(seen.st_mode) else "a pipe or a device"
        raise build_file_error(setting, file, f"it is {kind}", cure)
    return seen.st_mtime_ns, seen.st_size


def split_separator(text: str) -> tuple[str, str]:
    """What stands between the columns of a CSV text, by its header, and the text.

    That is a semicolon as in German Excel, a tab as in its 'Unicode text', or a comma. A first line such as `sep=;`,
    which Excel reads and writes, is emptied.
    """
    first, end, rest = text.partition("\n")
    if len(first.rstrip("\r")) == len("sep=;") and first.lower().startswith("sep="):
        return first[4], f"{end}{rest}"
    counts = {separator: first.count(separator) for separator in ",;\t"}
    if counts[","]:
        return ",", text
    return max(counts, key=lambda separator: counts[separator]), text


def build_file_error(setting: str, file: Path, what: str, cure: str) -> ConfigurationError:
    """The error of a file that can't be used: what is wrong with it, and what to do, as clauses.

    `setting` names it, unless nothing does.
    """
    named = f"{setting}={file}" if setting else file
    return ConfigurationError(f"{named} can't be used: {what}. To correct it, {cure}.")
