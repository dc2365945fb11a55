"""Of tests with many cases, samples are among the long ones, and all others among the exhaustive ones."""

import itertools
from collections.abc import Iterable
from typing import Any

import pytest


def take_samples(every: int, *axes: Iterable[Any]) -> list[Any]:
    """Each combination of the values, of which about one in so many is long.

    An axis of at least `every` values meets each value of the others in a sample.
    """
    cases = itertools.product(*(enumerate(axis) for axis in axes))
    return [
        pytest.param(
            *(value for _, value in case),
            marks=pytest.mark.exhaustive if sum(number for number, _ in case) % every else pytest.mark.long,
        )
        for case in cases
    ]
