"""A look-alike of SMA's developer services on loopback, for building, teaching and testing. It is not SMA."""

import zoneinfo

# Its plants live by the zones of the locked package `tzdata`; a table of the machine may be years old.
zoneinfo.reset_tzpath(to=())
zoneinfo.ZoneInfo.clear_cache()
