"""What may be meant by one click: masks from small to large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float


class Offers(NamedTuple):
    """What may be meant by one click.

    Attributes:
        masks: Make masks, float32 in [0, 1], the smallest first.
        first: Which is meant most likely.
    """

    masks: Sequence[Callable[[], Float[np.ndarray, "h w"]]]
    first: int


class Proposer(Protocol):
    """Offers masks of what is clicked on. A picture that it has seen costs it little."""

    def __call__(self, colours: Float[np.ndarray, "h w 3"], click: tuple[float, float]) -> Offers:
        """Return what may be meant.

        Args:
            colours: In [0, 1], as stored; the same array for the same picture.
            click: x and y, in pixels.

        Raises:
            GainerError: The click lies outside of the picture, or the model is broken.
        """
        ...


def by_size(masks: Float[np.ndarray, "n h w"], best: int) -> Offers:
    """Return masks that a network offers, the smallest first; those that hold nothing are left out.

    Args:
        masks: What it offers.
        best: Which it thinks best.
    """
    areas = (masks >= 0.5).sum(axis=(1, 2))
    order = [int(one) for one in np.argsort(areas, kind="stable") if areas[one] > 0 or one == best]
    return Offers([lambda one=one: masks[one].astype(np.float32) for one in order], order.index(best))
