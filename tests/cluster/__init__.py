"""Several machines, really running: PostgreSQL, Redis, an object store, and workers in homes of their own."""
