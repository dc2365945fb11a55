"""Every table and view of a published file, read by the DuckDB of this Python: its version, the rows of each, and days.

    python old_duckdb.py FILE

Imports nothing of ours: it runs where sunledger is not installed. The days are those of question 24, by the plant's
calendar and by that of UTC, which are the same on a machine of any time zone.
"""

import json
import sys
from pathlib import Path

import duckdb

COUNTS = Path(__file__).with_name("counts.sql").read_text()
DAYS = (Path(__file__).parents[2] / "warehouse" / "questions" / "24.sql").read_text()

with duckdb.connect(sys.argv[1], read_only=True) as connection:
    names = [name for (name,) in connection.execute(COUNTS).fetchall()]
    rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0] for name in names}
    days = [[str(value) for value in row] for row in connection.execute(DAYS).fetchall()]
json.dump([duckdb.__version__, rows, days], sys.stdout)
