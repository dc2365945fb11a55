"""Dagster's records as files: their lock, how this process keeps them open, and what an older version left."""
