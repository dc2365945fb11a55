"""Ids that look like SMA's: digits on ennexOS, a GUID (8-4-4-4-12) on Sunny Portal Classic; stable for a seed."""

import hashlib

_FIRST_PLANT = 5_000_000
_STEP = 22  # room for a plant's devices between two plants


def build_ennexos_id(index: int) -> str:
    """The id of the simulated plant `index` on ennexOS."""
    return str(_FIRST_PLANT + _STEP * index)


def build_guid(*parts: object) -> str:
    """A GUID (version 4, by its digits) made from these parts alone."""
    text = "/".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    variant = "89ab"[int(digest[16], 16) % 4]
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:]}"


def build_device_id(plant_id: str, number: int) -> str:
    """The id of a plant's device `number` (from 1), in the format of the plant's portal."""
    if plant_id.isdigit():
        return str(int(plant_id) + number)
    return build_guid(plant_id, "device", number)
