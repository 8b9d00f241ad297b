"""Sand at rest, measured: ``python -m gainer_bench grain-mixture IMAGE... --scene configs/physics/sand.yaml``.

A pixel is a mixture where what it shows lay at no particle that is near it, as far away as it is shown: the colours of
two that were apart have been averaged. To tell, the picture's colours are replaced by places: red over blue is x at
rest, green over blue y, so that lighter and darker grains count alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro
from jaxtyping import Bool, Float
from rich.progress import track
from torch import Tensor

from gainer_bench.outputs import print_plain
from gainer_bench.simulation_check import fitted_picture
from gainer_bench.tables import Table
from gainer_ns.errors import GainerError
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.physics.engine import Frame
from gainer_ns.physics.mpm.engine import MpmEngine
from gainer_ns.physics.simulated_plane import SimulatedPlane
from gainer_ns.physics.simulation import scene_for
from gainer_ns.rendering.plane import BakedPicture

LOW, SPAN, BLUE = 0.2, 0.6, 0.5
"""Colours of places: red and green from the first to the sum of both, blue the third."""
NEAR_SPACINGS = 2.5
"""How far a particle is at most that is shown somewhere, where it closes a gap."""
ASIDE_SPACINGS, INWARDS_PX = 0.5, 3.0
"""How much farther from its particle a place may have been than it is shown: grains lie aside of their particles, and
at the edge of a body they show what is opaque near by."""
SOLID_ALPHA = 0.98
"""Pixels from this opacity on are counted: others end at the background."""
CANDIDATES = 24
"""How many particles near a pixel are compared."""


@dataclass
class GrainMixture:
    """Simulate a scene on pictures, and count the pixels of its last frame that mix what lay apart."""

    images: tyro.conf.Positional[tuple[Path, ...]]
    """Pictures with alpha, which are fitted first."""
    scene: Path
    """The scene file."""
    particles: int | None = None
    """How many particles, instead of as many as the scene says."""
    most: float = 5.0
    """Percent of the pixels that may be mixtures; more ends with status 1."""

    def run(self) -> None:
        """Print a table of the shares.

        Raises:
            GainerError: A share is larger than it may be.
        """
        rows: list[list[str]] = []
        worst = 0.0
        for image in self.images:
            picture = fitted_picture(image)
            simulated = SimulatedPlane(scene_for(self.scene, picture), of_places(picture), self.particles)
            frames = MpmEngine().run(simulated.config, simulated.particles, simulated.materials)
            *_, last = track(frames, image.stem, simulated.config.frames)
            share = 100 * mixed_share(simulated, last)
            worst = max(worst, share)
            rows.append([image.stem, str(len(simulated.particles)), f"{share:.2f}"])
        print_plain(Table.of(["picture", "particles", "mixed pixels, %"], rows, names=1).markdown())
        if worst > self.most:
            raise GainerError(f"{worst:.2f} % of the pixels are mixtures, more than {self.most:g} %")


def of_places(picture: BakedPicture) -> BakedPicture:
    """Return a picture of the same shape whose colours tell the places at rest; for a decoder that is linear."""
    gaussians, plane = picture.gaussians, picture.plane
    sides = gaussians.means.new_tensor([plane.width, plane.height])
    shares = plane.pixel_from_plane(gaussians.means.double()).float() / sides
    colours = torch.cat([LOW + SPAN * shares, torch.full_like(shares[:, :1], BLUE)], dim=1)
    features = picture.only_layer.decoder.features_for(colours)
    return picture.with_gaussians(replace(gaussians, features=features, slopes=None))


def mixed_share(simulated: SimulatedPlane, frame: Frame) -> float:
    """Return the share of the solid pixels of a frame that are mixtures; the picture is one of places."""
    plane, spacing = simulated.picture.plane, simulated.particles.spacing
    crop = simulated.scene.filmed or simulated.scene.rest_extent(0.0)
    rgb, alpha = simulated.at(frame).raster(crop=crop)
    rows, columns = (alpha[..., 0] >= SOLID_ALPHA).nonzero().unbind(1)
    shown = rgb[rows, columns].double()
    sides = shown.new_tensor([1.0, plane.height / plane.width])
    lay = (shown[:, :2] / shown[:, 2:] * BLUE - LOW) / SPAN * sides
    points = torch.stack([columns, rows], dim=1) + 0.5 + shown.new_tensor(crop[:2])
    slack = ASIDE_SPACINGS * spacing + INWARDS_PX / plane.width
    return float(_mixed(simulated, frame, lay.float(), points.float() / plane.width, slack).float().mean())


def _mixed(
    simulated: SimulatedPlane, frame: Frame, lay: Float[Tensor, "m 2"], points: Float[Tensor, "m 2"], slack: float
) -> Bool[Tensor, " m"]:
    """Tell where no particle that is near a point was as near, but for some slack, to where that lay; all in widths."""
    index = NeighbourIndex(frame.positions, NEAR_SPACINGS * simulated.particles.spacing)
    read = index.query(points, min(CANDIDATES, len(frame.positions)))
    found = read.indices.long()
    before = (simulated.particles.positions[found.clamp(min=0)] - lay[:, None]).norm(dim=2)
    farther = before - read.squared_distances.sqrt()
    return (farther.masked_fill(found < 0, torch.inf) > slack).all(dim=1)
