"""No module imports itself by way of others, and no two rooms beside each other import each other.

The layers of the rooms are held by import-linter (`make lint`). Here imports within functions and for types alone count
as well, since a reader follows them too.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.house.test_names import FILES, ROOT

_IMPORT = re.compile(r"^ *from ([\w.]+) import (\([^)]*\)|[^(\n]+)", re.MULTILINE)


@cache
def list_imports() -> dict[str, set[str]]:
    """The modules that each module of the product imports; a package is called by its folder."""
    modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in FILES
    }
    found: dict[str, set[str]] = {}
    for module, file in modules.items():
        named = set()
        for place, names in _IMPORT.findall(file.read_text("utf-8")):
            below = {f"{place}.{name}" for name in re.findall(r"\w+", names)} & modules.keys()
            named |= below or ({place} & modules.keys())
        found[module] = named - {module}
    return found


def find_circle(imports: Mapping[str, set[str]]) -> list[str]:
    """A circle of imports, from a name back to itself; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as fault:
        return list(fault.args[1])
    return []


def group_by_room(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The rooms that each room imports, without those that it is in and those that are in it."""
    rooms = defaultdict(set)
    packages = {module for module in imports if any(other.startswith(f"{module}.") for other in imports)}
    for module, others in imports.items():
        room = module if module in packages else module.rpartition(".")[0]
        for other in others:
            beside = other if other in packages else other.rpartition(".")[0]
            if not f"{room}.".startswith(f"{beside}.") and not f"{beside}.".startswith(f"{room}."):
                rooms[room].add(beside)
    return rooms


def test_no_module_imports_itself_by_way_of_others() -> None:
    imports = list_imports()
    assert sum(map(len, imports.values())) > 2000
    assert find_circle(imports) == []


def test_no_two_rooms_beside_each_other_import_each_other() -> None:
    assert find_circle(group_by_room(list_imports())) == []


@pytest.mark.parametrize("back", ["a.x.one", "a.y.other"])
def test_a_circle_is_found(back: str) -> None:
    packages: dict[str, set[str]] = {"a": set(), "a.x": set(), "a.y": set()}
    imports = packages | {"a.x.one": {"a.y.two"}, "a.y.two": {back}, "a.y.other": {"a.x.one"}}
    assert find_circle(imports)
    assert find_circle(group_by_room(imports))
