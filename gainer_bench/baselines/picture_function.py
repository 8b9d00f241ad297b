"""What all baselines are: a function, with parameters to learn, from a point of the plane to a colour."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from nerfstudio.configs.base_config import InstantiateConfig
from torch import Tensor, nn
from torch.nn import Parameter

from gainer_ns.frames import ImagePlane

BLOCK_POINTS_PER_THREAD = 1024
"""Points that a CPU takes through all layers before the next ones, so that it finds their values in its cache: a step
of all pixels of a picture takes half the time."""


@dataclass
class PictureFunctionConfig(InstantiateConfig):
    """How a baseline is built."""

    _target: type = field(default_factory=lambda: PictureFunction)

    def setup(self, **kwargs: Any) -> PictureFunction:
        """Make the function of a ``plane``, with a ``seed``."""
        return self._target(self, **kwargs)

    def check(self) -> None:
        """Look whether this machine has what the function needs.

        Raises:
            Unavailable: If not.
        """

    def numbers(self, plane: ImagePlane) -> int:
        """Return about how many numbers it learns: what has stored fewer than half has not learned them."""
        raise NotImplementedError


class PictureFunction(nn.Module, ABC):
    """Colours of points, learned by gradient descent.

    Args:
        config: How it is built.
        plane: The picture's plane.
        seed: Of everything random. The global generators stay as they are.
    """

    config: PictureFunctionConfig
    at_once: ClassVar[bool] = False
    """Whether all pixels are best drawn at once, and not block by block."""

    def __init__(self, config: PictureFunctionConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__()
        self.config, self.plane, self.seed = config, plane, seed

    @abstractmethod
    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return colours, unclamped and differentiable by the parameters, of points in plane coordinates."""

    def begin(self, target: Float[Tensor, "h w 3"]) -> None:
        """Look at the picture once, before the first step, where a method starts from it; most do not.

        Sizes of parameters stay as they are.
        """

    def param_groups(self) -> dict[str, list[Parameter]]:
        """Return parameters by the name of their optimizer."""
        return {"function": list(self.parameters())}

    def unit_square(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 2"]:
        """Return plane coordinates from -1 to 1 along each side, as most papers have them; y stays up."""
        half = points.new_tensor(self.plane.half_extent)
        return points / half


def block_by_block(
    layers: Callable[[Float[Tensor, "b i"]], Float[Tensor, "b o"]], inputs: Float[Tensor, "m i"]
) -> Float[Tensor, "m o"]:
    """Return ``layers(inputs)`` for layers that take each row alone; a GPU is given all rows at once."""
    block = len(inputs) if inputs.is_cuda else BLOCK_POINTS_PER_THREAD * torch.get_num_threads()
    return torch.cat([layers(part) for part in inputs.split(max(1, block))])
