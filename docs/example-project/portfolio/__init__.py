"""A project of somebody's own that takes sunledger's graph in: docs/dagster.md explains it."""
