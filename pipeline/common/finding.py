"""One judgement that a person reads: what was found, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement: whether all is well, whether it can't wait, what was found and what to do, and the figures."""

    passed: bool
    text: str
    severe: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
