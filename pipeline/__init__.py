"""The product's own code, without Dagster: the vendor's client, the rules from power to energy, steps, command line.

Importing it decides which time zones Python knows: those of the locked package `tzdata`, in every process of ours and
from its first import on. A table of the machine, or one that PYTHONTZPATH names, may be years old; then days in a
country that has changed its clocks since are an hour too long or too short, and look complete.

It also bounds what the allocators of the libraries keep, which must be said before they are loaded.
"""

import zoneinfo

from pipeline.common.allocators import limit_allocators

limit_allocators()
zoneinfo.reset_tzpath(to=())
# Something imported before may have looked at a zone, which Python remembers by its name.
zoneinfo.ZoneInfo.clear_cache()
