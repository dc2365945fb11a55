"""Docs, messages, docstrings and comments use the field's terms, and the glossary explains terms that are in use."""

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED = tomllib.loads((Path(__file__).parent / "banned.toml").read_text("utf-8"))
# Whether a line holds any of them: most hold none.
ANY_BANNED = re.compile("|".join(f"(?:{pattern})" for pattern in BANNED))
CODE = ("pipeline", "assets", "warehouse", "schemas", "sandbox")
WHOLE_FILES = ("*.md", "*.sql", "*.html", "*.j2", "*.toml", "*.yaml", "*.service", "*.conf", "*.example")
GLOSSARY = ROOT / "docs" / "glossary.md"


def list_files(*patterns: str) -> list[Path]:
    """The product's files and pages of these patterns, without what tools leave behind."""
    folders = [ROOT / name for name in (*CODE, "docs", "deploy")]
    found = [file for folder in folders for pattern in patterns for file in folder.rglob(pattern)]
    found += [file for pattern in patterns for file in ROOT.glob(pattern)]
    return sorted(file for file in found if "__pycache__" not in file.parts and "build" not in file.parts)


@cache
def read_prose(path: Path) -> tuple[tuple[int, str], ...]:
    """Line numbers and lines of prose: the strings and comments of Python, and all of other files."""
    return tuple(_find_prose(path))


def _find_prose(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def find_banned(path: Path) -> list[str]:
    """Each banned phrase of the file, with its place and the words to use instead."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r} - write: {instead}"
        for number, line in read_prose(path)
        if ANY_BANNED.search(line)
        for pattern, instead in BANNED.items()
        if (found := re.search(pattern, line))
    ]


def match_term(term: str) -> str:
    """The pattern of a term, whose first word may be a verb in any form."""
    first, *others = re.split(r"[\s_-]+", re.escape(term.lower()).replace("\\", ""))
    return rf"\b{' '.join([f'{first}(e?s|e?d|ing)?', *others])}"


@pytest.mark.parametrize("folder", [*CODE, "docs", "deploy", "."])
def test_no_banned_phrase(folder: str) -> None:
    files = [
        file
        for file in list_files("*.py", *WHOLE_FILES)
        if (file.relative_to(ROOT).parts[0] == folder) or (folder == "." and file.parent == ROOT)
    ]
    assert files
    assert [line for file in files for line in find_banned(file)] == []


@pytest.mark.parametrize("kind", ["comment", "docstring", "message", "page"])
def test_a_banned_phrase_is_found_in_each_kind_of_prose(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.wording.test_wording.ROOT", tmp_path)
    text = {
        "comment": "x = 1  # It is made anew.\n",
        "docstring": '"""It is made\nanew."""\n',
        "message": 'def f(x):\n    raise ValueError(f"{x} is made anew.")\n',
        "page": "It is made anew.\n",
    }[kind]
    file = tmp_path / ("page.md" if kind == "page" else "module.py")
    file.write_text(text)
    (found,) = find_banned(file)
    assert "'anew' - write: again" in found


def test_each_term_of_the_glossary_is_in_use() -> None:
    rows = [
        line.split("|")[1].strip()
        for line in GLOSSARY.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    terms = [term for row in rows[2:] for term in row.split(", ")]
    others = [file for file in list_files("*.py", *WHOLE_FILES) if file != GLOSSARY]
    prose = " ".join(line for file in others for _, line in read_prose(file)).lower()
    words = re.sub(r"[\s_-]+", " ", prose)
    assert len(terms) > 40
    assert [term for term in terms if not re.search(match_term(term), words)] == []
