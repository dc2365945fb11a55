"""The forty questions, the macros for local time, and the keys, on a published file."""

import datetime as dt
from collections.abc import Iterator

import duckdb
import pytest

from schemas import TABLES, storage
from warehouse.published_file.macros import MACROS
from warehouse.published_file.publish import PublishedFile
from warehouse.published_file.published_content import OFFLINE
from warehouse.questions import Question, load_questions
from warehouse.questions.__main__ import FILE, SPEED, read_times

DAY, MINUTE = dt.date(2021, 10, 6), dt.timedelta(minutes=1)
KEYED = [model for model in TABLES if storage(model).key and storage(model).published != "no"]

FORMER = """'[{"until": "2025-10-26", "kw": 10.0}, {"until": "2026-01-01", "kw": 2.0, "other": null}]'"""


@pytest.fixture(scope="module")
def db(published: PublishedFile) -> Iterator[duckdb.DuckDBPyConnection]:
    """The file as a reader without internet opens it, in a time zone of its own."""
    with duckdb.connect(str(published.path), read_only=True, config=dict(OFFLINE)) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        yield connection


def test_there_are_forty() -> None:
    assert [question.number for question in load_questions()] == list(range(1, 41))
    assert len({question.text for question in load_questions()}) == 40


def test_each_question_has_its_time() -> None:
    times = read_times(SPEED.read_text("utf-8"))
    told = FILE.read_text("utf-8").split("\n## ")[1:]
    assert [part.rstrip().rpartition("\n")[2] for part in told] == [times[number] for number in range(1, 41)]


def test_a_question_without_an_answer_of_the_demo_says_why() -> None:
    told = FILE.read_text("utf-8").split("\n## ")[1:]
    # A table has its headings and a line below them.
    empty = [part for part in told if sum(line.startswith("| ") for line in part.splitlines()) == 2]
    assert [part.partition(".")[0] for part in empty if "so this has no rows there." not in part] == []


@pytest.mark.parametrize("question", load_questions(), ids=lambda question: str(question.number))
def test_each_question_runs_and_is_documented(db: duckdb.DuckDBPyConnection, question: Question) -> None:
    answer = db.execute(question.query)
    names = [name for name, *_ in answer.description or ()]
    documented = (
        f"## {question.number}. {question.text}\n\n```sql\n{question.query}\n```\n\n| {' | '.join(names)} |"
    )
    assert documented in FILE.read_text()


def answer_by_quarters(words: str, rows: str, plants: str = "a") -> list[tuple[object, ...]]:
    """The answer of the question with these words, of two days of plants whose quarters have some columns by `rows`."""
    (question,) = (one for one in load_questions() if words in one.text)
    with duckdb.connect() as connection:
        connection.execute(
            f"CREATE TABLE v_energy_quarter_hourly AS SELECT plant_id, 'Alpha' AS plant_name, "
            f"CAST(local_start AS DATE) AS local_date, local_start AS quarter_start, local_start, {rows} "
            "FROM range(192) AS quarters(i), "
            "LATERAL (SELECT TIMESTAMP '2021-10-06' + to_minutes(15 * i) AS local_start), "
            f"(SELECT unnest(string_split_regex('{plants}', '')) AS plant_id)"
        )
        return connection.execute(question.query).fetchall()


def test_a_tariff_of_two_plants_of_one_name_has_a_row_for_each() -> None:
    answer = answer_by_quarters("high and at low tariff", "0.5 AS grid_consumption_kwh", plants="ab")
    assert answer == [
        ("Alpha", False, 44.0),
        ("Alpha", False, 44.0),
        ("Alpha", True, 52.0),
        ("Alpha", True, 52.0),
    ]


def test_a_quarter_with_a_gap_is_no_lower_base_load() -> None:
    """A load of 0.4 kW at all times, of which each eighth quarter has five minutes of data."""
    answer = answer_by_quarters(
        "base load",
        "CASE WHEN i % 8 = 0 THEN 1 / 12 ELSE 0.25 END AS total_consumption_covered_h, "
        "0.4 * total_consumption_covered_h AS total_consumption_kwh",
    )
    assert answer == [("Alpha", 0.4)]


def test_a_quarter_with_a_gap_is_no_lower_peak() -> None:
    """A draw of 2 kW, of 6 kW in ten minutes of one quarter, and of 9 kW in the only minute of another."""
    answer = answer_by_quarters(
        "drew from the grid",
        "CASE i WHEN 40 THEN 1 / 6 WHEN 50 THEN 1 / 60 ELSE 0.25 END AS grid_consumption_covered_h, "
        "CASE i WHEN 40 THEN 1.0 WHEN 50 THEN 0.15 ELSE 0.5 END AS grid_consumption_kwh",
    )
    assert answer == [("Alpha", 6.0, dt.datetime.fromisoformat("2021-10-06T10:00"))]


def test_a_day_with_a_gap_moves_no_less_energy() -> None:
    """2 kW in and 2 kW out at all times; half of the second day has no data."""
    covered = "CASE WHEN i < 144 THEN 0.25 ELSE 0 END"
    names = ("grid_feed_in", "grid_consumption")
    rows = ", ".join(f"{covered} AS {name}_covered_h, 2.0 * {covered} AS {name}_kwh" for name in names)
    assert answer_by_quarters("battery of each plant move", rows) == [("Alpha", 18.0)]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # 2025-10-26 01:30 UTC is the second 02:30 of Berlin's autumn night.
        (
            "CAST(local_time(TIMESTAMPTZ '2025-10-26 01:30:00+00', 'Europe/Berlin') AS VARCHAR)",
            "2025-10-26 02:30:00",
        ),
        # The session is in Tokyo, where it is the 15th already.
        ("utc_day(TIMESTAMPTZ '2025-10-14 20:00:00+00')", dt.date(2025, 10, 14)),
        ("CAST(TIMESTAMPTZ '2025-10-14 20:00:00+00' AS DATE)", dt.date(2025, 10, 15)),
        ("local_day(TIMESTAMPTZ '2025-10-31 23:30:00+00', 'Europe/Berlin')", dt.date(2025, 11, 1)),
        ("local_month(TIMESTAMPTZ '2025-10-31 23:30:00+00', 'Europe/Berlin')", dt.date(2025, 11, 1)),
        ("epoch(day_start(DATE '2025-10-27', 'Europe/Berlin'))", 1761519600.0),
        ("day_hours(DATE '2025-10-26', 'Europe/Berlin')", 25.0),
        ("day_hours(DATE '2025-03-30', 'Europe/Berlin')", 23.0),
        # Clocks go back from one o'clock to midnight: it comes twice, and the day begins with the first.
        ("epoch(day_start(DATE '2021-10-31', 'Atlantic/Azores'))", 1635638400.0),
        ("day_hours(DATE '2021-10-31', 'Atlantic/Azores')", 25.0),
        ("day_hours(DATE '2021-10-30', 'Atlantic/Azores')", 24.0),
        ("day_hours(DATE '2021-11-07', 'America/Havana')", 25.0),
        # Clocks go forward from midnight to one o'clock: there is none, and the day begins an hour later.
        ("epoch(day_start(DATE '2024-04-26', 'Africa/Cairo'))", 1714082400.0),
        ("day_hours(DATE '2024-04-26', 'Africa/Cairo')", 23.0),
        ("day_hours(DATE '2021-04-04', 'Australia/Lord_Howe')", 24.5),
        ("month_of(DATE '2025-10-26')", dt.date(2025, 10, 1)),
        (f"rated_power(4.0, {FORMER}, 'kw', DATE '2020-01-01')", 10.0),
        (f"rated_power(4.0, {FORMER}, 'kw', DATE '2025-10-26')", 10.0),
        (f"rated_power(4.0, {FORMER}, 'kw', DATE '2025-10-27')", 2.0),
        (f"rated_power(4.0, {FORMER}, 'kw', DATE '2026-01-01')", 2.0),
        (f"rated_power(4.0, {FORMER}, 'kw', DATE '2026-01-02')", 4.0),
        (f"rated_power(NULL, {FORMER}, 'kw', DATE '2025-10-25')", 10.0),
        (f"rated_power(4.0, {FORMER}, 'other', DATE '2025-10-27')", 4.0),
        ("rated_power(4.0, NULL, 'kw', DATE '2025-10-25')", 4.0),
        ("rated_power(4.0, '[]', 'kw', DATE '2025-10-25')", 4.0),
    ],
)
def test_macros_know_local_time_whatever_the_reader_s_zone(
    db: duckdb.DuckDBPyConnection, call: str, expected: object
) -> None:
    assert db.execute(f"SELECT {call}").fetchall() == [(expected,)]


@pytest.mark.parametrize("macro", ["local_time", "local_day", "local_month"])
@pytest.mark.parametrize(
    "wrong", ["TIMESTAMP '2025-10-31 23:30:00'", "DATE '2025-10-31'", "'2025-10-31 23:30'"]
)
def test_a_wall_clock_is_no_moment(db: duckdb.DuckDBPyConnection, macro: str, wrong: str) -> None:
    """DuckDB's own function would turn it round silently."""
    with pytest.raises(duckdb.Error, match=rf"{macro} takes a moment \(TIMESTAMPTZ\) and got: "):
        db.execute(f"SELECT {macro}({wrong}, 'Europe/Berlin')")
    assert db.execute(f"SELECT {macro}(NULL, 'Europe/Berlin')").fetchall() == [(None,)]


def test_every_macro_has_its_comment(db: duckdb.DuckDBPyConnection) -> None:
    found = db.execute("SELECT function_name, comment FROM duckdb_functions() WHERE NOT internal").fetchall()
    assert dict(found) == {macro.name: macro.comment for macro in MACROS}


@pytest.mark.parametrize("model", KEYED, ids=lambda model: storage(model).table)
def test_keys_are_told_and_unique(db: duckdb.DuckDBPyConnection, model: type) -> None:
    kept = storage(model)
    key = ", ".join(kept.key)
    twice = f"SELECT {key} FROM {kept.table} GROUP BY {key} HAVING count(*) > 1"
    assert db.execute(twice).fetchall() == []
    comments = "SELECT comment FROM duckdb_{}() WHERE {}_name = ? AND NOT internal"
    kind = ("views", "view") if kept.published == "view" else ("tables", "table")
    assert db.execute(comments.format(*kind), [kept.table]).fetchall()[0][0].endswith(f"Key: {key}.")
