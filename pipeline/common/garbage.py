"""How Python looks for garbage: seldom while the program loads, and never among what was loaded.

The search walks objects again and again, in the end all of them. A command that opens Dagster loads 390,000, hardly
one of which is ever garbage: walking them took a third of a start's CPU time.
"""

import gc
from typing import Final

# Until so many objects are new no search begins: more than any command loads. There is a bound, because some commands
# never come to the end of loading: their work begins with what they need, and loads the rest later.
NEW_WHILE_LOADING: Final = 500_000
_USUAL: Final = gc.get_threshold()


def hold_collection() -> None:
    """Look for garbage seldom from now on, because the program begins to load."""
    gc.set_threshold(NEW_WHILE_LOADING, *_USUAL[1:])


def skip_loaded_objects() -> None:
    """Look for garbage as usual again, but not among the objects there are now; nothing where it was not held."""
    if gc.get_threshold()[0] == NEW_WHILE_LOADING:
        gc.freeze()
        gc.set_threshold(*_USUAL)


def skip_all_objects() -> None:
    """Look for no more garbage among the objects there are now: the process ends, which frees all."""
    gc.freeze()
