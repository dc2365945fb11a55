"""Dagster's records as files: how this process keeps them open, what an older version left, and what mends them."""
