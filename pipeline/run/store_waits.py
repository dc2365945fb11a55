"""Waits until an object store that was gone is back: an outage costs the day that it hit, and not the next ones."""

import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.common.store_faults import StoreError, StoreUnavailableError, translate_store_faults
from pipeline.run.context import RunContext
from warehouse.lake import Lake
from warehouse.object_store import open_store

# A store that restarts, or a network that was cut, is back by then.
LONGEST_OUTAGE_S, LOOK_EVERY_S = 300.0, 2.0
# A step that meets more outages than these fails.
MOST_OUTAGES = 3
# What is looked for in a store, and is not there.
NO_OBJECT = "_checks/none"
Result = TypeVar("Result")


def retry_after_outage(runtime: RunContext, step: Callable[[], Result], *, published: bool = False) -> Result:
    """Do a step that can be done again from its beginning, and do so after an outage of the lake's store.

    `published` says that it also needs the store of the published object. Raises what the step raises.
    """
    for _ in range(MOST_OUTAGES):
        try:
            with translate_store_faults():
                return step()
        except StoreUnavailableError:
            if not wait_for_store(runtime, published=published):
                raise
    return step()


def wait_for_store(runtime: RunContext, *, published: bool = False) -> bool:
    """Wait, for five minutes at most, until the lake's store answers again, and say so; whether it did.

    With `published`, until the store of the published object does as well.
    """
    settings = runtime.settings
    # To open the lake as a run does would already ask the store.
    lake = runtime.opened.lake or Lake(settings.lake, settings.home / "tmp")
    target = (settings.published_object or "").rpartition("/")[0] if published else ""
    places = [place for place in (lake.root if lake.remote else "", target) if place]
    if not places:
        return False
    looks: list[Callable[[], object]] = []
    if lake.remote:
        looks.append(lambda: lake.open_root().get_file_info([NO_OBJECT]))
    if target:
        looks.append(lambda: open_store(target, {}).head(NO_OBJECT))
    begun = time.monotonic()
    runtime.tell(
        f"The object store of {' or '.join(places)} is gone. The run waits for it, for {LONGEST_OUTAGE_S / 60:.0f} "
        "minutes at most, and then goes on."
    )
    while time.monotonic() - begun < LONGEST_OUTAGE_S:
        if all(_answers(look) for look in looks):
            runtime.tell(f"The object store is back after {time.monotonic() - begun:.0f} s.")
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def _answers(look: Callable[[], object]) -> bool:
    """Whether the store answers a look. Whatever it says, it is there, and who asks next tells what is wrong."""
    try:
        with translate_store_faults():
            look()
    except StoreUnavailableError:
        return False
    except (StoreError, OSError):
        pass
    return True
