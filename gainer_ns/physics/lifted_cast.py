"""A lifted photo as the cast of a scene: its surface is given a thickness, and simulated in space."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.editing.lifted_stage import SOLID, LiftedPiece, SpaceStep, parted_discs
from gainer_ns.errors import GainerError
from gainer_ns.frames import CAMERA_DISTANCE, PixelSpace
from gainer_ns.lifting.scene import LiftedLayer, LiftedScene
from gainer_ns.memory import check_free
from gainer_ns.physics.choosing import BYTES_PER_PARTICLE, members_of, particles_of
from gainer_ns.physics.engine import Frame, Particles, centre_of_mass
from gainer_ns.physics.materials import Material
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.setting import Setting
from gainer_ns.physics.skinning import BodySkin, SkinStep, body_skins

THINNEST, THICKEST = 0.15, 0.5
"""How far bodies go on behind their surface, as shares of the shorter side of the box around what they select: a photo
does not show it. They are filled up to where they are farthest away, within these bounds."""
FARTHEST = 0.05
"""Share of a surface that may lie even farther away."""
FEWEST_SHEETS = 3
"""Particles one behind the other, at least."""
ROOM = 0.25
"""Before and behind the bodies, in widths of the photo."""


@dataclass(frozen=True)
class Group:
    """Bodies that hang together and are one surface.

    Attributes:
        piece: Their discs.
        skin: What carries these along.
    """

    piece: LiftedPiece
    skin: BodySkin


class LiftedCast:
    """A lifted photo in a scene: of its first layer, which is the object where one was chosen.

    Lengths are those of pixels at the depth of what is simulated: half of it is nearer, half farther away. What breaks
    keeps its discs, stretched by little: gaps between grains are only as wide as their places make them.

    Args:
        scene: What is simulated; on the photo (see ``Scene.on``).
        lifted: The photo.
        count: How many particles, instead of as many as the scene says.

    Attributes:
        particles: What is simulated of it, at rest; those behind the surface stand for no Gaussian.
        materials: Of each body.
        setting: What an engine is told besides.

    Raises:
        GainerError: A body takes nothing that was lifted, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, lifted: LiftedScene, count: int | None = None) -> None:
        self.scene, self.lifted = scene, lifted
        self.materials: tuple[Material, ...] = scene.materials
        layer, width = lifted.layers[0], lifted.camera.width
        members = members_of(scene, layer.pixel_centres(width), layer.opacities > SOLID)
        selected = torch.cat(members)
        depths = CAMERA_DISTANCE - layer.gaussians.means[:, 2].double()
        depth = float(depths[selected].median())
        self._space = PixelSpace(lifted.camera, depth)
        places = self._space.from_world(layer.gaussians.means.double()) / width
        areas = (depths / depth / width).square()
        wanted = count or (len(selected) if scene.particles == "all" else scene.particles)
        low, high = places[selected].amin(dim=0), places[selected].amax(dim=0)
        side = float((high - low)[:2].amin())
        back = places[selected, 2].quantile(FARTHEST)
        thickness = (places[:, 2] - back).clamp(THINNEST * side, THICKEST * side)
        volume = float((areas * thickness)[selected].sum())
        # As many on the surface as make cubes of the whole.
        on_surface = float(areas[selected].sum()) * (wanted / volume) ** (2 / 3)
        surface = particles_of(scene, members, places, areas, max(1, round(min(on_surface, wanted / FEWEST_SHEETS))))
        self.particles = thickened(surface, thickness[surface.gaussian_ids])
        left, top, right, bottom = content_of_lifted(lifted)
        (x0, y0), (x1, y1) = (low[:2] * width).tolist(), (high[:2] * width).tolist()
        # What is farther away than most reaches farther, as pixels of its own depth are larger.
        room = scene.on(width, lifted.camera.height, (min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)))
        room.check_particles(self.particles)
        farthest, nearest = self.particles.positions[:, 2].aminmax()
        self.setting: Setting = room.setting(3, (float(farthest) - ROOM, float(nearest) + ROOM))
        self._shown = 0
        self._rest, self._groups = self._taken_apart(layer)

    def at(self, frame: Frame) -> LiftedScene:
        """The photo in a frame."""
        if frame.time == 0:
            return self.lifted
        self._shown += 1  # pieces keep their last pose by this number
        moved = []
        for group in self._groups:
            group.skin.show(frame)
            moved.append(group.piece.posed([self._shown]))
        rest = [] if self._rest is None else [self._rest.layer]
        return replace(self.lifted, layers=(*moved, *rest, *self.lifted.layers[1:]))

    def centre(self, frame: Frame) -> tuple[float, float]:
        """Centre of mass of what moves, in pixels of the photo."""
        centre = centre_of_mass(frame, self.particles, self.materials).double() * self.lifted.camera.width
        world = self._space.to_world(centre) - centre.new_tensor([0, 0, CAMERA_DISTANCE])
        pixel, _ = self.lifted.camera.project(world[None])
        return float(pixel[0, 0]), float(pixel[0, 1])

    def _taken_apart(self, layer: LiftedLayer) -> tuple[LiftedPiece | None, list[Group]]:
        """What stays of a layer, if anything, and the groups that move."""
        width = self.lifted.camera.width
        rest: LiftedPiece | None = LiftedPiece(0, layer, torch.ones_like(layer.pixels, dtype=torch.bool))
        groups: list[Group] = []
        done: list[int] = []
        for skin in body_skins(self.particles, self.materials, width):
            assert rest is not None
            fields = self.scene.body_fields(rest.layer.pixel_centres(width))
            done += skin.bodies
            if bool((fields[done].amax(dim=0)[rest.layer.opacities > 0] >= 0.5).all()):
                taken, rest = rest, None
            else:
                rest, taken = parted_discs(rest, fields[list(skin.bodies)].amax(dim=0))
            taken.steps = (SpaceStep(SkinStep(skin), self._space),)
            groups.append(Group(taken, skin))
        return rest, groups


def thickened(surface: Particles, thickness: Float[Tensor, " n"]) -> Particles:
    """Particles on a surface, and others behind them, away from the camera.

    Args:
        surface: Of volumes that are areas, as the camera sees them.
        thickness: Of the body behind each of them, widths.

    Raises:
        GainerError: If there is no memory for so many.
    """
    sheets = (thickness / surface.spacing).round().long().clamp(min=FEWEST_SHEETS)
    check_free(
        int(sheets.sum()) * BYTES_PER_PARTICLE[3],
        f"particles: {int(sheets.sum()):,} of them",
        "write fewer into the scene",
    )
    columns = torch.arange(len(surface), device=sheets.device).repeat_interleave(sheets)
    starts = torch.cumsum(sheets, dim=0) - sheets
    behind = torch.arange(len(columns), device=sheets.device) - starts[columns]
    apart = (thickness / sheets)[columns]
    positions = surface.positions[columns].clone()
    positions[:, 2] -= apart * behind
    return Particles(
        positions,
        volumes=surface.volumes[columns] * apart,
        velocities=surface.velocities[columns],
        bodies=surface.bodies[columns],
        gaussian_ids=torch.where(behind == 0, surface.gaussian_ids[columns], -1),
        spacing=surface.spacing,
    )


def content_of_lifted(lifted: LiftedScene) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what may be simulated of a lifted photo, in pixels.

    Raises:
        GainerError: If nothing was lifted.
    """
    layer = lifted.layers[0]
    shown = layer.pixel_centres(lifted.camera.width)[layer.opacities > SOLID]
    if len(shown) == 0:
        raise GainerError("nothing was lifted that shows, so there is nothing to simulate; lift another photo")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return left, top, right, bottom
