"""What several photos show of a scene, made one picture: each is lifted by itself, and rays choose among what they see.

Each photo's surfaces are rendered alone, so that noise in one's depth never hides what another shows. Then the photos
vote on how far a ray goes, each with the confidence of its depth there and the more the less its own line of sight
differs; those that agree with the outcome are blended. What was made up, behind edges and beyond frames, counts only
where no photo shows anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int, UInt8
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.views import CameraView
from gainer_ns.storage.checks import checked_plane

Outputs = dict[str, Tensor]
Sight = Callable[[RayBundle, Int[Tensor, " m"]], Outputs]
"""Renders rays over black, as one photo shows the scene; also takes their numbers among all that are asked for."""

MAX_PHOTOS_PER_RAY = 5
"""How many photos a ray looks at: the nearest ones."""
MIN_CONFIDENCE = 0.08
"""What depth counts that no photo agrees with."""
ANGLE_EXPONENT, MIN_ANGLE = 1.5, 0.01
"""Photos weigh by this power of the angle, in radians, between the ray and their own line of sight."""
AGREEMENT = 0.05
"""Distances within this share of each other are of the same surface."""
BLEND_SHARE = 0.03
"""Share of the distance over which photos that miss the chosen surface fade out."""
NEARER_BONUS = 0.15
"""How much more what is nearest counts in the vote."""
_SOLID = 0.99
"""From this accumulation on nothing else is looked for."""
_OFF_AXIS_PENALTY = 4.0
"""How much farther a photo counts for each radian by which its frame misses a ray's direction, in world units."""


@dataclass(frozen=True, eq=False)
class PhotoView(CameraView):
    """A photo of a scene: its camera, and how far its depth is confirmed by others.

    Attributes:
        confidence: [h, w], in 255ths.
    """

    confidence: UInt8[Tensor, "h w"] = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.uint8))

    def confidence_at(self, points: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
        """Return the confidence at the pixels that show points of the world."""
        pixel, _ = self.camera.project(self.in_camera(points))
        column, row = pixel.nan_to_num().floor().long().unbind(dim=1)
        confidence = self.confidence.to(points.device)
        return confidence[row.clamp(0, self.camera.height - 1), column.clamp(0, self.camera.width - 1)].float() / 255


def views_to_tensors(views: Sequence[PhotoView]) -> tuple[Float[Tensor, "v 18"], UInt8[Tensor, " pixels"]]:
    """Return photos as a checkpoint keeps them: cameras and poses, and all confidences."""
    numbers = [[*view.camera.numbers, *view.pose.flatten().tolist()] for view in views]
    confidences = [view.confidence.flatten().cpu() for view in views]
    return (
        torch.tensor(numbers, dtype=torch.float64).view(len(views), 18),
        torch.cat([torch.zeros(0, dtype=torch.uint8), *confidences]),
    )


def views_from_tensors(numbers: Float[Tensor, "v 18"], confidences: UInt8[Tensor, " pixels"]) -> tuple[PhotoView, ...]:
    """Return the photos that a checkpoint keeps.

    Raises:
        ValueError: If there are no such photos.
    """
    views, first = [], 0
    for one in numbers.tolist():
        camera, pose, plane = PinholeCamera.of_numbers(*one[:6]), one[6:], checked_plane(*one[:2])
        if not all(map(math.isfinite, pose)):
            raise ValueError("a photo's pose makes no sense")
        confidence = confidences[first : first + plane.pixels].view(plane.height, plane.width)
        views.append(PhotoView(camera, torch.tensor(pose).view(3, 4), confidence))
        first += plane.pixels
    return tuple(views)


def joined_outputs(
    views: Sequence[PhotoView], shown: Sequence[Sight], made_up: Sequence[Sight], rays: RayBundle
) -> Outputs:
    """Render rays over black.

    Args:
        views: The photos.
        shown: What each of them shows.
        made_up: The same with what was made up behind its edges and beyond its frame.
        rays: [m].

    Returns:
        See :meth:`gainer_ns.lifting.scene.LiftedScene.outputs`.
    """
    near, everything = nearest_views(views, rays), torch.arange(len(rays), device=rays.origins.device)
    seen = _blended(views, shown, rays, near, everything)
    holes = seen["accumulation"][:, 0] < _SOLID
    if bool(holes.any()):
        behind = _blended(views, made_up, rays[holes], near[holes], everything[holes])
        through = 1 - seen["accumulation"][holes]
        share = through * behind["accumulation"]
        before = seen["accumulation"][holes]
        total = (before + share).clamp(min=1e-9)
        for name in ("depth", "median_depth"):
            seen[name][holes] = (before * seen[name][holes] + share * behind[name]) / total
        seen["rgb"][holes] += through * behind["rgb"]
        seen["accumulation"][holes] += share
    return seen


def nearest_views(views: Sequence[PhotoView], rays: RayBundle) -> Int[Tensor, "m k"]:
    """Return which photos each ray looks at: taken near to where it begins, and in its direction."""
    scores = []
    for view in views:
        pose, camera = view.pose.to(rays.origins), view.camera
        away = (rays.origins - pose[:, 3]).norm(dim=1)
        angle = (rays.directions @ -pose[:, 2]).clamp(-1, 1).acos()
        reach = math.atan(
            0.5 * math.hypot(camera.width / camera.focal_length[0], camera.height / camera.focal_length[1])
        )
        scores.append(away + _OFF_AXIS_PENALTY * (angle - reach).clamp(min=0))
    return torch.stack(scores, dim=1).topk(min(MAX_PHOTOS_PER_RAY, len(views)), dim=1, largest=False).indices


def _blended(
    views: Sequence[PhotoView],
    sights: Sequence[Sight],
    rays: RayBundle,
    near: Int[Tensor, "m k"],
    numbers: Int[Tensor, " m"],
) -> Outputs:
    """Return what photos show along rays, blended."""
    shape = near.shape
    colours = rays.origins.new_zeros(*shape, 3)
    alphas, depths, medians, weights = (rays.origins.new_zeros(shape) for _ in range(4))
    for number, (view, sight) in enumerate(zip(views, sights, strict=True)):
        ray, slot = (near == number).nonzero(as_tuple=True)
        if len(ray) == 0:
            continue
        own = rays[ray]
        seen = sight(own, numbers[ray])
        alpha, median = seen["accumulation"][:, 0], seen["median_depth"][:, 0]
        points = own.origins + own.directions * median[:, None]
        sure = MIN_CONFIDENCE + view.confidence_at(points)
        alphas[ray, slot], depths[ray, slot], medians[ray, slot] = alpha, seen["depth"][:, 0], median
        colours[ray, slot] = seen["rgb"]
        weights[ray, slot] = alpha * sure * _angle_weights(points - view.pose.to(points)[:, 3], own.directions)
    return _voted(colours, alphas, depths, medians, weights)


def _angle_weights(lines: Float[Tensor, "m 3"], directions: Float[Tensor, "m 3"]) -> Float[Tensor, " m"]:
    """Return how much photos weigh by the angles between their own lines of sight and rays."""
    lines = torch.nn.functional.normalize(lines, dim=1)
    angles = torch.linalg.cross(lines, directions).norm(dim=1).atan2((lines * directions).sum(dim=1))
    return (angles + MIN_ANGLE) ** -ANGLE_EXPONENT


def _voted(
    colours: Float[Tensor, "m k 3"],
    alphas: Float[Tensor, "m k"],
    depths: Float[Tensor, "m k"],
    medians: Float[Tensor, "m k"],
    weights: Float[Tensor, "m k"],
) -> Outputs:
    """Return the mean of those photos that see the surface for which most weight speaks."""
    there = weights > 0
    distance = torch.where(there, medians, torch.inf)
    nearest = distance.amin(dim=1, keepdim=True)
    ratio = torch.where(
        there[:, :, None] & there[:, None], distance[:, :, None] / distance[:, None].clamp(min=1e-9), 0.0
    )
    votes = (weights[:, None] * ((ratio - 1).abs() < AGREEMENT)).sum(dim=2)
    votes = votes * torch.where(distance <= nearest * (1 + AGREEMENT / 2), 1 + NEARER_BONUS, 1.0)
    chosen = distance.gather(1, torch.where(there, votes, -1.0).argmax(dim=1, keepdim=True))
    miss = torch.where(there, (distance / chosen - 1).abs(), torch.inf)
    weights = weights * torch.exp(-miss / BLEND_SHARE)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-30)
    alpha = (weights * alphas).sum(dim=1, keepdim=True)
    own = colours / alphas.clamp(min=1e-6)[..., None]
    return {
        "rgb": alpha * (weights[..., None] * own).sum(dim=1),
        "accumulation": alpha,
        "depth": (weights * depths).sum(dim=1, keepdim=True),
        "median_depth": (weights * medians).sum(dim=1, keepdim=True),
    }
