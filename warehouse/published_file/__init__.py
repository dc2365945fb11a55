"""The published DuckDB file: what is in it, how a new one takes its place, and how readers open it."""
