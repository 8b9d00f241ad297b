"""Move the Gaussians that do least to where the picture lacks most.

What a Gaussian does is how much the colours would change without it. What a place lacks is the squared error around it.
A Gaussian moves only where that is more than what it does, so pictures that are well filled stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.optim import Optimizer

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fields.knn_encoding import GaussianKNNEncoding, PointReading
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import gaussian_weights
from gainer_ns.gaussians.placement import sampled_pixels

_BLOCK_POINTS = 1 << 16
"""Points judged at once."""
_ERROR_WINDOW_PX = 3
"""Side of the square that a place is judged by."""
_MAX_MOVED_SHARE = 0.05
"""Share of the Gaussians that may move at once."""
_MAX_WEIGHT = 0.98
"""A weight above this counts as this: nothing is left without such a Gaussian."""


class _Judged(NamedTuple):
    """Gaussians and pixels before anything moves."""

    uses: Float[Tensor, " n"]
    features: Float[Tensor, "m f"]
    missing: Float[Tensor, "m 3"]


@torch.no_grad()
def relocate(
    encoding: GaussianKNNEncoding,
    decoder: Decoder,
    reading: PointReading,
    target: Float[Tensor, "m 3"],
    plane: ImagePlane,
    pixels: Int[Tensor, " m"],
    optimizers: Iterable[Optimizer],
    seed: int,
) -> int:
    """Move Gaussians with learned means, let optimizers forget where these were heading, and return how many moved.

    ``reading`` is what the fitted ``pixels`` (row-major indices) read now, ``target`` their colours; the choice is
    seeded.
    """
    assert reading.neighbours is not None and encoding.shifts is not None and encoding.features_table is not None
    judged = _judged(encoding, decoder, reading, target)
    lacking = target.new_zeros(plane.pixels)
    lacking[pixels] = judged.missing.square().sum(dim=1)
    image = lacking.view(1, 1, plane.height, plane.width)
    around = avg_pool2d(
        image, _ERROR_WINDOW_PX, stride=1, padding=_ERROR_WINDOW_PX // 2, count_include_pad=False
    ).flatten()[pixels]
    count = int(_MAX_MOVED_SHARE * len(encoding))
    if count == 0 or float(around.sum()) == 0:
        return 0
    places = sampled_pixels(around, count, seed).unique()
    places = places[around[places].argsort(descending=True)]
    chosen = judged.uses.argsort()[: len(places)]
    gains = judged.uses[chosen] < _ERROR_WINDOW_PX**2 * around[places]
    chosen, places = chosen[gains], places[gains]
    near = reading.neighbours.indices[places, 0].long()
    chosen, places, near = (part[near >= 0] for part in (chosen, places, near))
    encoding.shifts[chosen] = (reading.points[places] - encoding.means[chosen]) / float(encoding.spacing)
    encoding.precision_factors[chosen] = encoding.precision_factors[near]
    towards = decoder.features_for(judged.missing[places] + decoder.linear.bias)
    encoding.features_table[chosen] = judged.features[places] + towards
    if encoding.slopes_table is not None:
        encoding.slopes_table[chosen] = encoding.slopes_table[near]
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            if len(parameter) == len(encoding) and "exp_avg" in state:
                state["exp_avg"][chosen] = 0
    return len(chosen)


def _judged(
    encoding: GaussianKNNEncoding, decoder: Decoder, reading: PointReading, target: Float[Tensor, "m 3"]
) -> _Judged:
    assert reading.neighbours is not None
    means, precisions, slopes = encoding.places, encoding.precisions, encoding.slopes
    weights = gaussian_weights(reading.points, reading.neighbours, means, precisions)
    uses = target.new_zeros(len(encoding))
    features, missing = [], []
    for rows in torch.arange(len(target), device=target.device).split(_BLOCK_POINTS):
        read, weight = reading.neighbours.indices[rows].clamp(min=0).long(), weights[rows]
        values = encoding.features[read]
        if slopes is not None:
            steps = reading.points[rows, None] - means[read]
            values[..., : slopes.shape[1]] += torch.einsum("mkfd,mkd->mkf", slopes[read], steps)
        mean = (weight[..., None] * values).sum(dim=1)
        without = weight / (1 - weight.clamp(max=_MAX_WEIGHT))  # times how far the rest would pull the mean away
        changes = (without[..., None] * (values - mean[:, None])) @ decoder.linear.weight.T
        uses.index_add_(0, read.flatten(), changes.square().sum(dim=-1).flatten())
        features.append(mean)
        missing.append(target[rows] - decoder(mean))
    return _Judged(uses, torch.cat(features), torch.cat(missing))
