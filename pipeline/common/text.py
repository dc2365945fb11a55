"""How counts are written in messages."""


def plural(count: int, noun: str) -> str:
    """A count and its noun: 1 plant, 1,200 plants."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
