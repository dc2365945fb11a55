"""Runs of the graph beside their assets: tags, processes, waits for pools, and runs that need no record."""
