"""Every table and view of a published file, read by the DuckDB of this Python: its version, and the rows of each.

    python old_duckdb.py FILE

Imports nothing of ours: it runs where sunledger is not installed.
"""

import json
import sys
from pathlib import Path

import duckdb

COUNTS = Path(__file__).with_name("counts.sql").read_text()

with duckdb.connect(sys.argv[1], read_only=True) as connection:
    names = [name for (name,) in connection.execute(COUNTS).fetchall()]
    rows = {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0] for name in names}
json.dump([duckdb.__version__, rows], sys.stdout)
