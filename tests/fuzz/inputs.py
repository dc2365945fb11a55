"""What the fuzzing feeds in: bytes that look enough like the real thing to get deep, with all the odd that is known."""

from collections.abc import Sequence

from hypothesis import strategies as st

# JSON texts of values, most of which no reader expects where they stand.
ODD_VALUES = (
    "0", "1", "-1", "0.5", "1234.5", "5000", "1e3", "1e308", "1e400", "-1e400", "5e-324", "-0.0",
    "99999999999999999999",
    "9223372036854775807", "-9223372036854775808", "NaN", "Infinity", "-Infinity", "null", "true", "false",
    '""', '"12.5"',
    '"1,5"', '"NaN"', '"-inf"', '"abc"', '"\\ud83d"', '"\\u0000"', '"\\u001b[31m"', "[]", "[1]", "[[[]]]", "{}",
    '{"value":1}', '[{"index":"A","value":1}]', '[{"index":1,"value":"2"},{"index":1,"value":3}]', '[{"value":7}]',
    '[{"index":null,"value":NaN}]', '[null]', "65535", "32768", "4294967295", "-32768",
)  # fmt: skip
ODD_TIMES = (
    "2025-07-09T12:00:00.5", "2025-07-09T12:00:00Z", "2025-07-09T12:00:00+02:00", "2025-07-09 12:00:00",
    "2025-07-09",
    "2025-02-30T00:00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59", "292277-01-01T00:00:00",
    "-2025-07-09T00:00:00",
    "2025-07-09T24:00:00", "2025-07-09T23:59:60", "", "T", "2025-7-9T1:2:3", "٢٠٢٥-07-09T12:00:00",
    "2025-07-09T12:00:00.1234567",
)  # fmt: skip
ODD_BYTES = (
    b"\0", b"\xff", b"\xed\xa0\xbd", b"\xef\xbb\xbf", b"\x1b[2J", b"\\ud83d", b'"', b"{", b"[", b"]}", b",", b"\r\n",
    b"\t", b"=", b"'''", b"# ",
)  # fmt: skip
DAYS = ("2025-07-09", "2025-07-08", "2025-07-10", "2025-03-30", "2025-10-26")


def one_of(texts: Sequence[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(list(texts))


def times() -> st.SearchStrategy[str]:
    """Labels of rows: usually good ones, of the day and its neighbours, in steps of five minutes."""
    good = st.builds(
        lambda day, step, seconds: f"{day}T{step // 12:02}:{step % 12 * 5:02}:{seconds:02}",
        one_of(DAYS),
        st.integers(0, 287),
        st.sampled_from([0, 0, 0, 1, 59]),
    )
    return st.one_of(good, good, good, one_of(ODD_TIMES), st.text(max_size=12).map(_in_json))


def values() -> st.SearchStrategy[str]:
    """Values as JSON texts."""
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr)
    watts = st.integers(-20_000, 20_000).map(str)
    return st.one_of(
        watts, watts, numbers, one_of(ODD_VALUES), st.text(max_size=8).map(lambda t: f'"{_in_json(t)}"')
    )


def objects(keys: Sequence[str], *, least: int = 0) -> st.SearchStrategy[str]:
    """Objects of these keys and some that nobody knows, a key twice now and then."""
    names = st.one_of(
        one_of(keys), one_of(keys), one_of(keys), one_of(["odd", "", "ANSWER", "it's", "value"])
    )
    return st.lists(st.tuples(names, values()), min_size=least, max_size=6).map(
        lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
    )


def answers(fields: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Answers of measurement sets with these fields."""
    cells = st.lists(st.tuples(one_of([*fields, *fields, "odd", "time"]), values()), max_size=5)
    rows = st.builds(
        lambda time, pairs: "".join(['{"time":"', time, '"', *(f',"{n}":{v}' for n, v in pairs), "}"]),
        times(),
        cells,
    )
    row_lists = st.lists(st.one_of(rows, rows, rows, rows, values()), max_size=12)
    resolutions = one_of(
        ["FiveMinutes", "FiveMinutes", "FifteenMinutes", "OneHour", "OneDay", "Fortnight", ""]
    )
    whole = st.builds(
        lambda resolution, found, plant: (
            f'{{"plant":{{"plantId":"{plant}","name":"P"}},"setType":"EnergyBalance","resolution":"{resolution}",'
            f'"set":[{",".join(found)}]}}'
        ),
        resolutions,
        row_lists,
        one_of(["1", "1", "1", "2", "", "[", '\\"']),
    )
    return spoilt(whole.map(str.encode))


def lists(envelope: str, keys: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Answers that list plants, devices, sets or log entries."""
    entries = st.lists(st.one_of(objects(keys), objects(keys), objects(keys), values()), max_size=8)
    plant = one_of(['{"plantId":"1"}', '{"plantId":"1"}', '{"plantId":2}', "null", "[]"])
    whole = st.builds(
        lambda found, inner: f'{{"plant":{inner},"{envelope}":[{",".join(found)}]}}', entries, plant
    )
    return spoilt(whole.map(str.encode))


def texts(lines: Sequence[str], cells: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Files of lines: known ones, and lines of these cells with separators of all kinds."""
    made = st.builds(
        lambda separator, found: separator.join(found),
        one_of([",", ";", "\t", "|", " = ", " ", ": "]),
        st.lists(st.one_of(one_of(cells), one_of(cells), st.text(max_size=8)), max_size=6),
    )
    body = st.lists(st.one_of(one_of(lines), one_of(lines), made), max_size=12)
    ends = one_of(["\n", "\n", "\n", "\r\n", "\r"])
    codes = one_of(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252"])
    whole = st.builds(lambda end, found, code: end.join(found).encode(code, "replace"), ends, body, codes)
    return spoilt(whole)


@st.composite
def spoilt(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """The same, with bytes cut off, put in, or doubled in one case of three."""
    data = draw(whole)
    if draw(st.integers(0, 2)):
        return data
    place = draw(st.integers(0, len(data)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return (
            data[:place] + draw(st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=4))) + data[place:]
        )
    if kind == 2:
        return data[:place] + data[place // 2 :]
    return data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]


def _in_json(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
