"""What a run knows of its photo without the file."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.storage.checks import checked_bit_depth, checked_plane


class LiftMetadata(NamedTuple):
    """What a checkpoint keeps of its photo, so that it can be rendered when the file is gone.

    Attributes:
        camera: The one that took it.
        unit: Length of a world unit in the units of the depth: how far away the middle of what was lifted is.
        metric: Whether the depth is in metres.
        bit_depth: Bits of the photo's values, 8 or 16.
    """

    camera: PinholeCamera
    unit: float
    metric: bool
    bit_depth: int

    def to_tensor(self) -> Float[Tensor, " metadata"]:
        """Return them as a checkpoint keeps them."""
        numbers = *self.camera.numbers, self.unit, self.metric, self.bit_depth
        return torch.tensor(numbers, dtype=torch.float64)

    @classmethod
    def from_tensor(cls, metadata: Float[Tensor, " metadata"]) -> LiftMetadata:
        """Read them from a checkpoint.

        Raises:
            ValueError: If there is no such photo.
        """
        *camera, unit, metric, bit_depth = metadata.tolist()
        checked_plane(*camera[:2])
        if not 0 < unit < math.inf:
            raise ValueError("its unit makes no sense")
        return cls(PinholeCamera.of_numbers(*camera), unit, bool(metric), checked_bit_depth(bit_depth))
