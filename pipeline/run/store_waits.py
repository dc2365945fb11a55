"""Waits until an object store that was gone is back: an outage costs the day that it hit, and not the next ones."""

import time

from pipeline.common.store_faults import StoreError, StoreUnavailableError
from pipeline.run.context import RunContext
from warehouse.lake import Lake

# A store that restarts, or a network that was cut, is back by then.
LONGEST_OUTAGE_S, LOOK_EVERY_S = 300.0, 2.0


def wait_for_store(runtime: RunContext) -> bool:
    """Wait, for five minutes at most, until the lake's store answers again, and say so; whether it did."""
    settings = runtime.settings
    # To open the lake as a run does would already ask the store.
    lake = runtime.opened.lake or Lake(settings.lake, settings.home / "tmp")
    if not lake.remote:
        return False
    begun = time.monotonic()
    runtime.tell(
        f"The object store of {lake.root} is gone. The run waits for it, for {LONGEST_OUTAGE_S / 60:.0f} minutes at "
        "most, and goes on with the next day."
    )
    while time.monotonic() - begun < LONGEST_OUTAGE_S:
        if _answers(lake):
            runtime.tell(f"The object store is back after {time.monotonic() - begun:.0f} s.")
            return True
        time.sleep(LOOK_EVERY_S)
    return False


def _answers(lake: Lake) -> bool:
    try:
        lake.open_root().get_file_info(["_checks/none"])
    except StoreUnavailableError:
        return False
    except (StoreError, OSError):
        # Whatever it says, it is there, and who asks next tells what is wrong.
        return True
    return True
