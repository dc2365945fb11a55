"""Names and texts quoted for SQL. Loads nothing, because a query of the published file needs nothing of the models."""


def quote_identifier(name: str) -> str:
    """A name quoted for SQL, whatever characters it holds."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """A text quoted for SQL, whatever characters it holds."""
    return "'" + text.replace("'", "''") + "'"
