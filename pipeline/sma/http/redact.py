"""Text from outside made fit for a message: short, one line, no secrets, no e-mail addresses."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MESSAGE_CHARS = 200

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+")
# A bearer header, or anything in the form of a JSON web token.
_TOKEN = re.compile(r"(?i:bearer\s+\S+)|eyJ[\w-]{10,}(?:\.[\w-]+)*")


def redact_text(text: str, secrets: Iterable[str] = (), limit: int = MESSAGE_CHARS) -> str:
    """One line of at most `limit` characters, with `secrets`, tokens and e-mail addresses blotted out.

    A secret is blotted out as a form holds it, too.
    """
    # Blot first: cutting or joining before that could leave a part of a secret behind.
    for secret in secrets:
        if secret:
            forms = {secret, quote(secret, safe=""), quote_plus(secret)}
            # Of two forms that begin alike, the shorter one would leave the end of the longer one behind.
            longest_first = map(re.escape, sorted(forms, key=len, reverse=True))
            # The digits of an encoded sign may be small ones.
            text = re.sub("|".join(longest_first), "[secret]", text, flags=re.IGNORECASE)
    text = _EMAIL.sub("[e-mail]", _TOKEN.sub("[token]", _UNPRINTABLE.sub(" ", text)))
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
