"""The tests. Garbage is searched for from the first of them on: of what they load hardly anything ever is."""

import gc

gc.disable()
