"""Move the Gaussians by a map of your own, with its Jacobians by torch: a swirl around the middle.

python examples/10_own_deformation.py photo.png results
"""

import sys
from pathlib import Path

import torch
from torch import Tensor

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)


def swirl(points: Tensor) -> Tensor:
    """Turns points [n, 2] around the origin, the less the farther away they are."""
    angle = 1.2 * torch.exp(-30 * points.square().sum(dim=1))
    x, y = points.unbind(dim=1)
    return torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=1)


picture = gn.fit(photo)
means = picture.gaussians.means  # [n, 2]: the longer side is 1, the origin the middle, y up
jacobians = torch.func.vmap(torch.func.jacrev(lambda point: swirl(point[None])[0]))(means)
picture.moved(swirl(means), jacobians).save(results / "swirl.png", scale=2)
