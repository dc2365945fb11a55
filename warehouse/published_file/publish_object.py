"""Publishes to an object of a store: from what it holds, and again where another machine was faster."""

from typing import Any

from warehouse.lake import Lake
from warehouse.published_file.publication_turn import PublishError
from warehouse.published_file.publish import (
    PublishedFile,
    forget_published,
    publish,
)
from warehouse.published_file.published_object import DamagedObjectError, PublishedObject

# Publications that come in between before one gives up; each of them was a newer one.
TRIES = 5


def publish_object(lake: Lake, target: PublishedObject, **options: Any) -> PublishedFile:
    """Publish as `publish` does, to an object: from what it holds now, and again where another one came in between.

    `options` are those of `publish`. Raises as `publish` does, and StoreError.
    """
    for _ in range(TRIES):
        try:
            etag = target.fetch()
        except DamagedObjectError as fault:
            target.tell(
                f"{fault.address} differs from what was published there, so it is built from nothing."
            )
            forget_published(target.file, target.tell)
            etag = fault.etag
        published = publish(lake, target.file, **options)
        # What was not renewed is what the object holds.
        if (etag is not None and not published.renewed) or target.put(etag, published.digest):
            return published
        target.tell(
            f"Another process has published {target.address} meanwhile: this one is built again from that."
        )
    raise PublishError(
        f"{target.address} was not published: {TRIES} publications of other processes came first, and theirs is there. "
        "Find what publishes so often, then run 'sunledger publish' again."
    )
