"""docs/tables.md says where the code makes each table."""

from schemas import TABLES, storage
from tests.assets.tables_page import DOCUMENT, ROOT, find_makers, write_page
from warehouse.published_file.meta import FILE_TABLES
from warehouse.views import load_curated_views


def test_the_page_is_what_the_code_says() -> None:
    assert DOCUMENT.read_text() == write_page(), "Run: python -m tests.assets.tables_page"


def test_every_table_and_view_is_on_it_once() -> None:
    assert find_makers().keys() == {storage(model).table for model in TABLES}
    names = [line.split("`")[1] for line in write_page().splitlines() if line.startswith("| `")]
    published = [view.name for view in load_curated_views()]
    others = [name for name in names if name.startswith("_")]
    assert sorted(names) == sorted([*find_makers(), *published, *others])
    assert len(others) == len(FILE_TABLES)


def test_each_file_that_it_links_is_there() -> None:
    links = {part.split(")")[0] for part in write_page().split("](../")[1:]}
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
