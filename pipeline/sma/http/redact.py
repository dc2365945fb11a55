"""Text from outside made fit for a message: short, one line, no secrets, no e-mail addresses."""

import re
from collections.abc import Iterable

MESSAGE_CHARS = 200

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
# A bearer header, or anything in the form of a JSON web token.
_TOKEN = re.compile(r"(?i:bearer\s+\S+)|eyJ[\w-]{10,}(?:\.[\w-]+)*")


def redact_text(text: str, secrets: Iterable[str] = (), limit: int = MESSAGE_CHARS) -> str:
    """One line of at most `limit` characters, with `secrets`, tokens and e-mail addresses blotted out."""
    # Blot first: cutting or joining before that could leave a part of a secret behind.
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[secret]")
    text = _EMAIL.sub("[e-mail]", _TOKEN.sub("[token]", _UNPRINTABLE.sub(" ", text)))
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
