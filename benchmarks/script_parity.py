"""How far ready scripts are from the reference: ``python benchmarks/script_parity.py PICTURE ... [--scripts F ...]``.

The reference moves every Gaussian and its covariance, and searches their neighbours anew. Compared are pixels where
both are opaque, the map does not fold and shrinks by less than 1.3; and alpha. All of that where what is shown, and
where it is shown, lies farther than 4 pixels from the frame, at which the reference ends otherwise. Scripts that take
pictures apart into several pieces have no reference, and are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy import ndimage

import gainer_ns as gn
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.film import stage_of
from gainer_ns.rendering.plane import BakedPicture

SCRIPTS = Path(__file__).parents[1] / "configs" / "edits"
MAX_SHRINK = 1.3
"""Of what is compared."""
OPAQUE_ALPHA = 0.999
FRAME_PX = 4
"""So near the frame nothing is compared."""
FAR_OFF = 6 / 255


@dataclass
class ScriptParity:
    """Edit fitted pictures by scripts, and say how far they are from the direct way."""

    pictures: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures of one layer."""
    scripts: tuple[Path, ...] = ()
    """Edit scripts; all ready ones where none is named."""

    def run(self) -> None:
        """Print a table."""
        rows = []
        for path in self.pictures:
            picture = gn.fit(path)
            for script in self.scripts or sorted(SCRIPTS.glob("*.yaml")):
                row = compared(picture, script)
                if row is not None:
                    rows.append([path.stem, script.stem, *row])
        heads = ["picture", "script", "dB", "worst of 255", "off by more than 6", "of", "alpha dB"]
        print(Table.of(heads, rows, names=2).markdown())


def compared(picture: gn.Picture, script: Path) -> list[str] | None:
    """Return the numbers of a row; None where there is no reference."""
    source = picture._drawn
    assert isinstance(source, BakedPicture)
    try:
        stage = stage_of(source, script)
    except GainerError:
        return None
    drawn = stage.at(1.0)
    if len(stage.pieces) != 1 or len(drawn.layers) != 1:
        return None
    (piece,), gaussians, plane = stage.pieces, source.gaussians, source.plane
    placed = piece.placed(stage._amounts(1.0), plane.pixel_from_plane(gaussians.means.double()))
    flip = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))
    means, jacobians = plane.plane_from_pixel(placed.points), flip @ placed.jacobians @ flip
    if bool((torch.linalg.det(jacobians) <= 0).any()):
        return None
    reference = source.with_gaussians(gaussians.transformed(means.float(), jacobians.float()))
    (fast, fast_alpha), (slow, slow_alpha) = drawn.raster(), reference.raster()
    # Of each pixel, the Gaussian that has come to lie nearest tells how the map shrinks there, and what is shown.
    pixels = plane.pixel_centres(torch.arange(plane.pixels))
    neighbours = reference.only_layer.index.query(pixels, 1)
    nearest = neighbours.indices[:, 0].long()
    stretch = torch.linalg.svdvals(jacobians)[:, 1][nearest]
    rest = plane.pixel_from_plane(gaussians.means)[nearest]
    size = rest.new_tensor([plane.width, plane.height])
    within = neighbours.valid[:, 0]
    for place in (rest, plane.pixel_from_plane(pixels)):
        within &= ((place > FRAME_PX) & (place < size - FRAME_PX)).all(dim=1)
    shape = plane.height, plane.width
    opaque = torch.minimum(fast_alpha, slow_alpha)[..., 0] > OPAQUE_ALPHA
    both = opaque & (within & (stretch >= 1 / MAX_SHRINK)).view(shape)
    both = ndimage.binary_erosion(both.numpy())
    errors = (fast - slow).abs().amax(dim=2).numpy()[both]
    square = (fast - slow).square().mean(dim=2).numpy()[both].mean()
    alpha = (fast_alpha - slow_alpha)[..., 0][within.view(shape)].square().mean()
    return [
        f"{-10 * np.log10(max(square, 1e-20)):.1f}",
        f"{255 * errors.max():.1f}",
        f"{int((errors > FAR_OFF).sum()):,}",
        f"{len(errors):,}",
        f"{-10 * np.log10(max(float(alpha), 1e-20)):.1f}",
    ]


if __name__ == "__main__":
    tyro.cli(ScriptParity).run()
