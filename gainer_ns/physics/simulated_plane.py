"""A flat picture in a scene: its Gaussians are chosen as particles, and all of them follow these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation, label
from torch import Tensor

from gainer_ns.devices import block_size
from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.extent import outline_of
from gainer_ns.editing.pieces import Piece, parted
from gainer_ns.editing.rest_picture import BLOCK_PIXELS, RestPicture
from gainer_ns.editing.shots import Camera, check_frame
from gainer_ns.editing.unfolding import unfolded
from gainer_ns.errors import GainerError
from gainer_ns.physics.body_skins import BodySkin, SkinStep
from gainer_ns.physics.connections import MIN_HOLDING_OPACITY, links_through
from gainer_ns.physics.engine import Frame, Particles
from gainer_ns.physics.grains import GrainSkin
from gainer_ns.physics.lengths import Bounds
from gainer_ns.physics.liquids import LiquidSkin
from gainer_ns.physics.sampling import members_of, particles_of, typical_spacing
from gainer_ns.physics.scene import Scene
from gainer_ns.physics.simulated_picture import SimulatedPicture, cut_out
from gainer_ns.physics.torn import TornSkin
from gainer_ns.rendering.plane import AnyLayer, BakedPicture
from gainer_ns.rendering.presence import Presence
from gainer_ns.rendering.sheet import Sheet

if TYPE_CHECKING:
    from gainer_ns.lifting.views import CameraPath

DROP_SPACINGS = 1.2
"""How far from its particle, in spacings, something of a liquid may be seen."""
MIN_GRAIN_PX, GRAIN_SPACINGS = 2.0, 1.25
"""Diameter of grains where the scene does not say it: in pixels, and in spacings of the particles, the larger."""
VISIBLE_SPACINGS = 2.0
"""A particle so many spacings inside of what is filmed shows something."""
MIN_CONTENT_OPACITY = 0.5
"""From this opacity on a Gaussian counts for where a picture shows something."""
MIN_PART_AREA = 2e-3
"""What is apart from all else and of a smaller share of what shows counts for nothing in how far a film reaches."""
SOFT_EDGE_PX = 3
"""How far soft edges reach beyond what is solid."""
MAX_PATCH_STRETCH = 6.0
"""A patch of an elastic body is not drawn once a side is so many times as long: what hangs by next to nothing."""


class SimulatedPlane(SimulatedPicture):
    """A fitted picture in a scene; see :func:`gainer_ns.physics.simulation.simulated_picture`.

    Raises:
        GainerError: A body has no Gaussians, or the scene does not fit its particles.
    """

    def __init__(self, scene: Scene, picture: BakedPicture, count: int | None = None) -> None:
        if picture.is_edited:
            raise GainerError("an edited picture cannot be simulated; simulate it as it was fitted")
        self.picture, plane = picture, picture.plane
        whole = Piece(None, RestPicture(picture.only_layer, plane), plane)
        side = typical_spacing(picture.gaussians, plane)
        particles = _particles(scene, picture, side, count)
        scene.check_particles(particles)
        super().__init__(scene, particles, scene.simulation_config(), plane.width)
        self._rest, self._pieces = cut_out(
            whole,
            self._skins,
            lambda piece: scene.body_fields(piece.rest.pixels),
            lambda piece: piece.is_visible,
            lambda piece, inside: parted(piece, inside.view(piece.rest.shape), upper=True),
        )
        for piece, skin in zip(self._pieces, self._skins, strict=True):
            piece.steps, piece.max_stretch = (SkinStep(skin),), MAX_PATCH_STRETCH
        self._liquids = {
            id(piece): LiquidSkin(piece, skin, particles, plane, self.config.colliders)
            for piece, skin in zip(self._pieces, self._skins, strict=True)
            if skin.parting == "drops"
        }
        diameter = scene.grain_px or max(MIN_GRAIN_PX, GRAIN_SPACINGS * particles.spacing * plane.width)
        # How far from its particle something of it may be seen, pixels.
        self._margin = max(side, DROP_SPACINGS * particles.spacing * plane.width, diameter)
        self._grains = {
            id(piece): GrainSkin(piece, skin, diameter / 2, scene.seed)
            for piece, skin in zip(self._pieces, self._skins, strict=True)
            if skin.parting == "grains"
        }

        self._torn = {
            id(piece): TornSkin(piece, skin)
            for piece, skin in zip(self._pieces, self._skins, strict=True)
            if skin.links is not None and any(self.materials[body].tear for body in skin.bodies)
        }

    def at(self, frame: Frame, max_nodes: int | None = None) -> BakedPicture:
        """Return the picture in a frame; see :meth:`SimulatedPicture.at`."""
        if frame.time == 0:
            return self.picture
        amounts = self._show(frame)
        pieces = zip(reversed(self._pieces), reversed(self._skins), strict=True)  # from back to front
        layers = [layer for piece, skin in pieces for layer in self._layers(piece, skin, amounts, max_nodes)]
        if self._rest is not None:
            layers.insert(0, self._rest.posed(amounts))
        return replace(self.picture, layers=tuple(layers))

    def places(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, "m 2"]:
        """Return where points of the world are in the plane of the scene, in widths."""
        return self.picture.plane.pixel_from_plane(points[:, :2]) / self.picture.plane.width

    def moved(self, points: Float[Tensor, "m 2"], frame: Frame) -> Float[Tensor, "m 2"]:
        """Return where points of the picture have gone in a frame, in pixels."""
        self._show(frame)
        fields, result = self.scene.body_fields(points), points.clone()
        for skin in self._skins:
            own = skin.owns(fields)
            result[own] = skin.pose(points[own]).positions.to(points) * self.picture.plane.width
        return result

    def hole(self) -> Bool[Tensor, "h w"]:
        """Return the pixels of the picture that bodies were cut out of."""
        plane, device = self.picture.plane, self.picture.device
        if self._rest is None:
            return torch.zeros(plane.height, plane.width, dtype=torch.bool, device=device)
        pixels = plane.pixel_from_plane(plane.pixel_centres(torch.arange(plane.pixels, device=device)))
        return (self.scene.body_fields(pixels) > 0).any(dim=0).view(plane.height, plane.width)

    def camera(self, scale: float, path: CameraPath | None = None) -> Camera:
        """Return what films it as far as the scene's canvas extends."""
        if path is not None:
            raise GainerError("--camera-path: films lifted photos only; leave it out for a flat picture")
        check_frame(self.picture, scale, self.scene.filmed or self.scene.rest_extent(0.0))
        back = BackgroundPlate.of(self.scene.background, self.picture, self.hole)
        return Camera(back, scale, self.scene.filmed, self._check_shown)

    def _drawn(self, frame: Frame, number: int, path: CameraPath | None) -> BakedPicture:
        return self.at(frame)

    def films_all(self, path: CameraPath | None) -> bool:
        """Tell whether a camera takes in all that is shown in any frame."""
        return self.scene.filmed is None

    def _reach(self, frame: Frame) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
        self._show(frame)
        lows, highs = [], []
        for skin, points in zip(self._skins, self._outlines, strict=True):
            moved = skin.pose(points).positions * self.picture.plane.width
            if skin.breaking:
                own = torch.isin(self.particles.bodies, torch.tensor(skin.bodies).to(self.particles.bodies))
                places = frame.positions.to(moved)[own.to(moved.device)] * self.picture.plane.width
                moved = torch.cat([moved, places - self._margin, places + self._margin])
            lows.append(moved.amin(dim=0))
            highs.append(moved.amax(dim=0))
        return torch.stack(lows).amin(dim=0), torch.stack(highs).amax(dim=0)

    @cached_property
    def _outlines(self) -> list[Float[Tensor, "m 2"]]:
        """Of each piece, the corners of the pixels around it, but for those of specks, which fly off."""
        alpha = self.picture.raster()[1][..., 0].cpu().numpy()
        parts, _ = cast("tuple[np.ndarray, int]", label(alpha >= MIN_CONTENT_OPACITY, np.ones((3, 3))))
        areas = np.bincount(parts.ravel())
        areas[0] = 0
        large = areas >= min(MIN_PART_AREA * areas.sum(), areas.max())
        near = torch.from_numpy(binary_dilation(large[parts], np.ones((3, 3)), SOFT_EDGE_PX))
        outlines = []
        for piece in self._pieces:
            points = outline_of(piece).float()
            column, row = (axis.cpu().long() for axis in points.unbind(dim=1))
            is_near = near[row.clamp(0, len(near) - 1), column.clamp(0, near.shape[1] - 1)].to(points.device)
            outlines.append(points[is_near] if bool(is_near.any()) else points)
        return outlines

    def _is_in_view(self, frame: Frame, crop: Bounds | None, path: CameraPath | None) -> bool:
        if self.films_all(path):
            return True
        assert crop is not None
        left, top, right, bottom = crop
        inner = VISIBLE_SPACINGS * self.particles.spacing * self.picture.plane.width
        places = frame.positions * self.picture.plane.width
        low, high = places.new_tensor([left, top]) + inner, places.new_tensor([right, bottom]) - inner
        inside = ((places > low) & (places < high)).all(dim=1)
        return self.scene.camera == "still" and bool(inside.any())

    def _pixel(self, place: Float[Tensor, " d"]) -> tuple[float, float]:
        x, y = (place * self.picture.plane.width).tolist()
        return x, y

    def _layers(self, piece: Piece, skin: BodySkin, amounts: list[int], max_nodes: int | None) -> Sequence[AnyLayer]:
        """Return a piece as layers of the picture, in the frame that the skins show, none of which covers itself."""
        plane = self.picture.plane
        presence = None if piece.presence is None else Presence(piece.presence, piece.rest.corner)
        if skin.parting == "drops":
            return [self._liquids[id(piece)].layer()]
        if skin.parting == "grains":
            return [Sheet(piece.rest.layer, plane, plane, self._grains[id(piece)].map(plane), presence)]
        torn = self._torn[id(piece)].map(plane) if id(piece) in self._torn else None
        if torn is not None:
            return [Sheet(piece.rest.layer, plane, plane, torn, presence)]
        return unfolded(piece, amounts, max_nodes=max_nodes)


def content_of(picture: BakedPicture) -> Bounds:
    """Return left, top, right and bottom of what a fitted picture shows, in pixels.

    Raises:
        GainerError: If it shows nothing.
    """
    width, height = float(picture.plane.width), float(picture.plane.height)
    if len(picture.layers) != 1:
        raise GainerError(f"the picture has {len(picture.layers)} layers, and only one moves; simulate it unedited")
    if picture.gaussians.opacities is None:
        return 0.0, 0.0, width, height
    is_content = _shown_opacities(picture) >= MIN_CONTENT_OPACITY
    shown = picture.plane.pixel_from_plane(picture.gaussians.means[is_content].double())
    if len(shown) == 0:
        raise GainerError("the picture is clear all over, so there is nothing to simulate; fit another")
    (left, top), (right, bottom) = (shown.amin(dim=0) - 0.5).tolist(), (shown.amax(dim=0) + 0.5).tolist()
    return max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)


def _shown_opacities(picture: BakedPicture) -> Float[Tensor, " n"]:
    """Return how opaque the picture is where each Gaussian lies.

    What Gaussians say themselves are coefficients, which swing about 0 where the picture is clear.
    """
    gaussians = picture.gaussians
    if gaussians.opacities is None:
        return torch.ones(len(gaussians), device=gaussians.means.device)
    blocks = gaussians.means.split(block_size(BLOCK_PIXELS, gaussians.means.device))
    return torch.cat([picture.only_layer.at(block).alpha[:, 0] for block in blocks]).clamp(0, 1)


def _particles(scene: Scene, picture: BakedPicture, side: float, count: int | None) -> Particles:
    """Return particles of all bodies: evenly chosen Gaussians of what shows, which lie so many pixels apart."""
    gaussians, width = picture.gaussians, picture.plane.width
    origins = picture.plane.pixel_from_plane(gaussians.means.double()).float()
    opacities = _shown_opacities(picture)
    members = members_of(scene, origins, opacities >= MIN_HOLDING_OPACITY)
    wanted = count or (sum(map(len, members)) if scene.particles == "all" else scene.particles)
    share = side / width
    particles = particles_of(scene, members, origins / width, share * share * opacities, wanted)
    spacing = max(particles.spacing, share)
    links = links_through(origins, opacities, side, particles.gaussian_ids, spacing * width)
    return replace(particles, spacing=spacing, links=links)
