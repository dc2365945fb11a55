"""The published tables in a PostgreSQL server: the connection, what is pushed, and who may read it."""
