"""docs/settings.md from the settings themselves: `python -m pipeline.common.settings_docs [--check]`."""

import inspect
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from pipeline.common.settings import Settings, name_variable
from pipeline.common.sma_hosts import HOSTS

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"

_HEAD = """\
# Settings

Settings come from the environment, or from a file `.env` in the working directory; where both have one, the environment
decides. Secrets are never printed, logged or stored. A name in `.env` that is nearly that of a setting is refused as a
slip, and `sunledger doctor` warns of one in the environment.
"""

_HOSTS = """
`SMA_ENVIRONMENT` sets these URLs. Each is the part before `/v1` or `/oauth2`:

| variable | `sandbox` | `production` |
|---|---|---|
"""


def write_markdown() -> str:
    """The document."""
    first, *others = (
        _write_group(group) for group in reversed(Settings.__bases__) if group is not BaseSettings
    )
    hosts = [
        f"| `SMA_{role.upper()}_URL` | `{getattr(HOSTS['sandbox'], role)}` | `{getattr(HOSTS['production'], role)}` |"
        for role in HOSTS["sandbox"]._fields
    ]
    return _HEAD + first + _HOSTS + "\n".join(hosts) + "\n" + "".join(others)


def _write_group(group: type[BaseModel]) -> str:
    title = (inspect.getdoc(group) or "").removesuffix(".")
    rows = "".join(
        f"| `{name_variable(name)}` | {field.description} |\n" for name, field in group.model_fields.items()
    )
    return f"\n## {title}\n\n| variable | meaning |\n|---|---|\n{rows}"


def main(arguments: list[str]) -> int:
    """Write the document, or with --check say whether it is up to date."""
    if "--check" in arguments:
        return 0 if DOCUMENT.read_text() == write_markdown() else 1
    DOCUMENT.write_text(write_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
