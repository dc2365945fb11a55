"""The rules of names: modules, public functions and types have names of their own; functions are verbs, types nouns.

So a search for a name finds one thing, and the name says what it does. The exceptions are few, each with its reason.
"""

import ast
import importlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("pipeline", "assets", "schemas", "warehouse", "sandbox")
# A folder with more is divided by subject (docs/decisions/0001-rooms.md).
MOST_MODULES = 25
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))

# A function's first word. A new word here is a verb in the sense in which the function uses it.
VERBS = frozenset((Path(__file__).parent / "verbs.txt").read_text("utf-8").split())
# Names that begin with no verb, or stand more than once, and why.
NOUNS = {
    "main": "the entry of a program, as Python calls it",
    "defs": "Dagster's own tool looks for it under this name",
    "consent": "Dagster calls a check by its function",
    "solar_time": "Dagster calls a check by its function",
}
# Declarations of columns and facts of a model are read as nouns, as those of pydantic are (`Field`).
DECLARATIONS = "schemas"
# Words that are a verb too, and here are the noun of the field.
NOUNS_LIKE_VERBS = frozenset(
    ["check", "format", "group", "place", "plan", "quarantine", "record", "replay", "request", "store"]
)
# What is no more, and is named as such: in texts about earlier homes, and in names of hosts that look like modules.
FORMER = (
    "pipeline.records",
    "pipeline.definitions",
    "pipeline.steps",
    "sandbox.internal",
    "sandbox.connection",
    "sandbox.example",
)


@cache
def parse(file: Path) -> ast.Module:
    """The file's syntax, which several tests look at."""
    return ast.parse(file.read_text("utf-8"))


def list_definitions(*kinds: type[ast.stmt]) -> Iterator[tuple[str, Path]]:
    """The names and files of all public definitions of these kinds at the top of a module."""
    for file in FILES:
        for node in parse(file).body:
            if isinstance(node, kinds) and not node.name.startswith("_"):  # type: ignore[attr-defined]
                yield node.name, file  # type: ignore[attr-defined]


def find_doubles(named: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand in more than one place, with the places."""
    places = defaultdict(list)
    for name, file in named:
        places[name].append(str(file))
    return {name: found for name, found in places.items() if len(found) > 1 and name not in NOUNS}


def test_each_module_has_a_name_of_its_own() -> None:
    modules = ((file.stem, file) for file in FILES if not file.stem.startswith("__"))
    packages = ((file.parent.name, file) for file in FILES if file.stem == "__init__")
    assert find_doubles(iter([*modules, *packages])) == {}


def test_a_folder_has_no_more_modules_than_can_be_read_as_a_list() -> None:
    counts = Counter(file.parent.relative_to(ROOT) for file in FILES if file.stem != "__init__")
    assert {str(folder): count for folder, count in counts.items() if count > MOST_MODULES} == {}


def test_each_public_function_and_type_has_a_name_of_its_own() -> None:
    assert find_doubles(list_definitions(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) == {}


def test_each_public_function_begins_with_a_verb() -> None:
    others = {
        name: str(file)
        for name, file in list_definitions(ast.FunctionDef, ast.AsyncFunctionDef)
        if name.split("_")[0] not in VERBS
        and name not in NOUNS
        and file.relative_to(ROOT).parts[0] != DECLARATIONS
    }
    assert others == {}


def test_no_type_is_called_by_a_verb_or_a_participle() -> None:
    others = {}
    for name, file in list_definitions(ast.ClassDef):
        last = re.findall(r"[A-Z][a-z]*", name)[-1]
        alone = last == name
        odd = re.fullmatch(r"\w+(ed|own)|Lost|Found", last)
        if odd or (alone and last.lower() in VERBS - NOUNS_LIKE_VERBS):
            others[name] = str(file)
    assert others == {}


def list_readable_files() -> list[Path]:
    """The files that may name code: programs, pages and settings."""
    folders = [ROOT / name for name in (*ROOMS, "tests", "bench", "docs", "deploy")]
    files = [*ROOT.glob("*.*"), ROOT / "Makefile", *(f for one in folders for f in one.rglob("*"))]
    return sorted(f for f in files if f.suffix in {".py", ".md", ".toml", ".yaml"} or f.name == "Makefile")


def list_strings(file: Path) -> list[str]:
    """The strings and docstrings of a program."""
    nodes = (node.value for node in ast.walk(parse(file)) if isinstance(node, ast.Constant))
    return [value for value in nodes if isinstance(value, str)]


@cache
def resolves(dotted: str) -> bool:
    """Whether a name like `pipeline.run.context.RunContext` leads to a module or to what is in one."""
    words = dotted.split(".")
    for n in range(len(words), 0, -1):
        try:
            found = importlib.import_module(".".join(words[:n]))
        except ModuleNotFoundError as missing:
            if words[0] != (missing.name or "").split(".")[0]:
                # It is there, and needs a package of an extra that is not: what it holds is read and not run.
                module = find_spec(".".join(words[:n]))
                assert module
                assert module.origin
                return all(word in Path(module.origin).read_text("utf-8") for word in words[n:])
            continue
        for word in words[n:]:
            if not hasattr(found, word):
                return False
            found = getattr(found, word)
        return True
    return False


def find_gone(text: str) -> set[str]:
    """What the text names of our modules and files that is not there."""
    rooms = "|".join(ROOMS)
    gone = set()
    for dotted in re.findall(rf"(?<![\w./-])((?:{rooms})(?:\.\w+)+)(?![\w/-])", text):
        ending = dotted.rsplit(".", 1)[1]
        if ending not in {"py", "toml", "sql", "csv", "md", "duckdb"} and not dotted.startswith(FORMER):
            gone |= set() if resolves(dotted) else {dotted}
    for module, names in re.findall(rf"from ((?:{rooms})(?:\.\w+)*) import ([\w, ]+)", text):
        words = [word.split(" as ")[0].strip() for word in names.split(",")]
        gone |= {f"{module}.{word}" for word in words if word and not resolves(f"{module}.{word}")}
    for path in re.findall(rf"(?<![\w./-])((?:{rooms})(?:/[\w-]+)+\.(?:py|toml|sql|j2|css))", text):
        gone |= set() if (ROOT / path).exists() else {path}
    return gone


def test_texts_name_only_modules_and_files_that_exist() -> None:
    """Programs in strings, targets of monkeypatch, docstrings and pages still name what they named when code moves."""
    gone = {}
    for file in list_readable_files():
        found = find_gone(file.read_text("utf-8"))
        # In a program `assets.append` may be a variable: only what stands in its strings counts.
        if found and file.suffix == ".py":
            found = set().union(*map(find_gone, list_strings(file)))
        if found:
            gone[str(file.relative_to(ROOT))] = found
    assert gone == {}


def test_each_handler_of_a_route_of_the_sandbox_begins_with_a_verb() -> None:
    handlers = [
        name
        for file in (ROOT / "sandbox" / "services").glob("*.py")
        for name in re.findall(r"\bRoute\([^)]*?\bself\.(\w+)", file.read_text())
    ]
    assert len(handlers) > 30
    assert [name for name in handlers if name.split("_")[0] not in VERBS or "_" not in name] == []
