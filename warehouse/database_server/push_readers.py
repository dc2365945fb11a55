"""The role of PostgreSQL that readers of the pushed tables get: it can read them, and nothing else of them."""

from warehouse.database_server.postgresql import PostgresqlConnection, PostgresqlError, name_table
from warehouse.quoting import quote_identifier, quote_text

_WRITES = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"


def allow_reading(server: PostgresqlConnection, schema: str, role: str) -> None:
    """Let the role read all tables of the schema; it is created without login where it does not exist.

    Raises PostgresqlError for a role that could write to them.
    """
    if not role:
        return
    found = server.fetch(f"SELECT rolsuper FROM pg_roles WHERE rolname = {quote_text(role)}")  # noqa: S608 - quoted
    if not found:
        server.run(f"CREATE ROLE {quote_identifier(role)} NOLOGIN")
    name, of_schema = quote_text(role), quote_text(schema)
    ((may_use, may_create),) = server.fetch(
        f"SELECT has_schema_privilege({name}, {of_schema}, 'USAGE'), "
        f"has_schema_privilege({name}, {of_schema}, 'CREATE')"
    )
    if not may_use:
        server.run(f"GRANT USAGE ON SCHEMA {quote_identifier(schema)} TO {quote_identifier(role)}")
    tables = server.fetch(
        f"SELECT c.relname::text, has_table_privilege({name}, c.oid, 'SELECT'), "  # noqa: S608 - quoted
        f"has_table_privilege({name}, c.oid, {quote_text(_WRITES)}) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        f"WHERE n.nspname = {of_schema} AND c.relkind = 'r' ORDER BY 1"
    )
    writable = [table for table, _, may_write in tables if may_write]
    if may_create or writable:
        what = f"the table {writable[0]}" if writable else "new tables"
        raise PostgresqlError(
            f"The role {role} of SUNLEDGER_PUSH_READER may write {what} in the schema {schema} at {server.place}: name "
            "a role that is neither a superuser nor the user of SUNLEDGER_PUSH_URL, or revoke what it may do."
        )
    for table in [table for table, may_read, _ in tables if not may_read]:
        server.run(f"GRANT SELECT ON {name_table(schema, table)} TO {quote_identifier(role)}")
