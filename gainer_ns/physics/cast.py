"""A picture as the cast of a scene: which Gaussians are simulated, and what all do when the particles have moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.editing.borders import spacing, unframed
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.errors import GainerError
from gainer_ns.physics.choosing import members_of, particles_of
from gainer_ns.physics.engine import Frame, Particles, centre_of_mass
from gainer_ns.physics.materials import Material
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.setting import Setting
from gainer_ns.physics.skinning import BodySkin, SkinStep, body_skins
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

GRAIN = 0.6
"""How far what a loose particle shows reaches, in spacings of the particles: dense ones leave no gaps between them."""
NEAR = 4.0
"""How far around Gaussians of what breaks points read them, in reaches of what is loose."""
SHOWN = 0.5
"""From this opacity on a Gaussian counts for where a picture shows something."""


@dataclass(frozen=True)
class Group:
    """Bodies that hang together and are drawn as one layer.

    Attributes:
        piece: Their Gaussians.
        skin: What carries the Gaussians along with them.
        grain: How far what a loose particle shows reaches, plane units; None where nothing breaks.
    """

    piece: Piece
    skin: BodySkin
    grain: float | None

    def layer(self, number: int) -> Layer:
        """As a layer of the picture, in the frame that its followers show, of whatever number."""
        layer = self.piece.posed([number])
        if self.grain is None:
            return layer
        torn = self.skin.pose(self.piece.origins).torn
        if len(layer.gaussians) != len(torn):  # the frame of an opaque picture that has not moved yet
            return layer
        return loosened(layer, torn, self.grain)


def loosened(layer: Layer, torn: Float[Tensor, " n"], grain: float) -> Layer:
    """A layer whose loose parts end near their Gaussians instead of where those of the whole ended.

    Args:
        layer: A posed layer.
        torn: [n], how loose each Gaussian is, from 0 to 1.
        grain: How far a loose one reaches, plane units.
    """
    gaussians = layer.gaussians
    kept = torch.ones_like(torn, dtype=torch.bool)
    if gaussians.opacities is not None:  # what was clear around it has no meaning inside of a heap
        kept = (gaussians.opacities > 0) | (torn < 0.5)
    gaussians, torn = gaussians[kept], torn[kept]
    gaussians = replace(gaussians, radius=min(gaussians.radius, NEAR * grain))  # what is farther off is not seen anyway
    reaches = torch.lerp(torch.full_like(torn, gaussians.radius), torch.full_like(torn, grain), torn)
    return replace(layer, gaussians=gaussians, reaches=reaches, fade=0.5 * grain)


class Cast:
    """A fitted picture in a scene.

    Args:
        scene: What is simulated; on the picture (see ``Scene.on``).
        picture: A fitted picture.
        count: How many particles, instead of as many as the scene says.

    Attributes:
        particles: What is simulated of it, at rest.
        materials: Of each body.
        setting: What an engine is told besides.

    Raises:
        GainerError: A body has no Gaussians, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, picture: BakedPicture, count: int | None = None) -> None:
        if len(picture.layers) != 1 or picture.gaussians.inverse_jacobians is not None:
            raise GainerError("an edited picture cannot be simulated; simulate it as it was fitted")
        self.scene, self.picture = scene, picture
        self.materials: tuple[Material, ...] = scene.materials
        self.setting: Setting = scene.setting()
        layer, border = unframed(picture.only_layer, picture.plane)
        piece = Piece(None, layer, picture.plane, picture.plane, border)
        self.particles = self._chosen(piece, count)
        scene.check_particles(self.particles)
        self._shown = 0
        self._rest, self._groups = self._taken_apart(piece)

    def at(self, frame: Frame) -> BakedPicture:
        """The picture in a frame."""
        if frame.time == 0:
            return self.picture
        self._show(frame)
        self._shown += 1  # pieces keep their last pose by this number
        layers = [group.layer(self._shown) for group in reversed(self._groups)]  # from back to front
        if self._rest is not None:
            layers.insert(0, self._rest.posed([self._shown]))
        return replace(self.picture, layers=tuple(layers))

    def moved(self, points: Float[Tensor, "m 2"], frame: Frame) -> Float[Tensor, "m 2"]:
        """Where points of the picture have gone in a frame, in pixels."""
        self._show(frame)
        fields, result = self.scene.body_fields(points), points.clone()
        for group in self._groups:
            own = group.skin.owns(fields)
            result[own] = group.skin.pose(points[own]).positions.to(points) * self.picture.plane.width
        return result

    def _show(self, frame: Frame) -> None:
        """Takes what carries the picture to where it is in a frame."""
        for group in self._groups:
            group.skin.show(frame)

    def hole(self) -> Bool[Tensor, "h w"]:
        """The pixels of the picture that bodies were cut out of."""
        plane, device = self.picture.plane, self.picture.device
        if self._rest is None:
            return torch.zeros(plane.height, plane.width, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        return (self.scene.body_fields(pixels) > 0).any(dim=0).view(plane.height, plane.width)

    def centre(self, frame: Frame) -> tuple[float, float]:
        """Centre of mass of what moves, in pixels."""
        centre = centre_of_mass(frame, self.particles, self.materials) * self.picture.plane.width
        return float(centre[0]), float(centre[1])

    def _chosen(self, piece: Piece, count: int | None) -> Particles:
        """Particles of all bodies: evenly chosen Gaussians of what shows."""
        gaussians, width = piece.layer.gaussians, self.picture.plane.width
        fitted = len(self.picture.gaussians)  # those that follow are the mirror image beyond the frame
        shown = torch.ones(fitted, device=gaussians.means.device)
        if gaussians.opacities is not None:
            shown = gaussians.opacities[:fitted].clamp(0, 1)
        side = spacing(self.picture.gaussians, self.picture.plane) / width
        members = members_of(self.scene, piece.origins[:fitted], shown > 0)
        wanted = count or (sum(map(len, members)) if self.scene.particles == "all" else self.scene.particles)
        particles = particles_of(self.scene, members, piece.origins[:fitted] / width, side * side * shown, wanted)
        return replace(particles, spacing=max(particles.spacing, side))

    def _taken_apart(self, piece: Piece) -> tuple[Piece | None, list[Group]]:
        """What stays of a piece, if anything, and the groups that move."""
        rest: Piece | None = piece
        groups: list[Group] = []
        done: list[int] = []
        for skin in body_skins(self.particles, self.materials, self.picture.plane.width):
            assert rest is not None
            fields = self.scene.body_fields(rest.origins)
            done += skin.bodies
            opacities = rest.layer.gaussians.opacities
            shown = slice(None) if opacities is None else opacities > 0
            if bool((fields[done].amax(dim=0)[shown] >= 0.5).all()):
                taken, rest = rest, None
            else:
                rest, taken = parted(rest, fields[list(skin.bodies)].amax(dim=0), upper=True)
            groups.append(self._group(taken, skin))
        return rest, groups

    def _group(self, piece: Piece, skin: BodySkin) -> Group:
        piece.steps = (SkinStep(skin),)
        plane = self.picture.plane
        side = spacing(self.picture.gaussians, plane)
        grain = max(side, GRAIN * self.particles.spacing * plane.width) * plane.pixel_size
        return Group(piece, skin, grain if skin.breaking else None)


def content_of(picture: BakedPicture) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what a fitted picture shows, in pixels.

    Raises:
        GainerError: If it shows nothing.
    """
    width, height = float(picture.plane.width), float(picture.plane.height)
    gaussians = picture.gaussians
    if gaussians.opacities is None:
        return 0.0, 0.0, width, height
    shown = picture.plane.pixel_from_plane(gaussians.means[gaussians.opacities >= SHOWN].double())
    if len(shown) == 0:
        raise GainerError("the picture is clear all over, so there is nothing to simulate; fit another")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
