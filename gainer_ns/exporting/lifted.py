"""A lifted photo as plain Gaussians in space, for viewers of points and of splats."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.exporting.gaussians import PlainGaussians, as_srgb
from gainer_ns.exporting.splat import MIN_ALPHA
from gainer_ns.fields.disc_encoding import RGBA_CHANNELS
from gainer_ns.frames import CAMERA_DISTANCE
from gainer_ns.lifting.layer import LiftedLayer
from gainer_ns.lifting.scene import LiftedScene


def lifted_gaussians(scene: LiftedScene) -> PlainGaussians:
    """Return what is seen of all layers of a lifted photo, on the CPU.

    Colours are read at the means, as a ray would: a Gaussian's own feature alone is no colour. Discs that are
    transparent, beyond the edges of a surface, are left out.
    """
    parts: list[PlainGaussians] = []
    first = 0
    for layer in scene.layers:
        gaussians = layer.gaussians
        assert gaussians.inverse_jacobians is not None
        colours, alphas = decoded(scene, layer)
        alphas = alphas[:, 0]
        seen = alphas >= MIN_ALPHA
        normals = gaussians.inverse_jacobians[:, 2].expand(len(gaussians), 3)
        plain = PlainGaussians(
            gaussians.means,
            gaussians.covariances,
            colours,
            alphas,
            torch.nn.functional.normalize(normals, dim=1),
            torch.arange(first, first + len(gaussians), device=seen.device),
        )
        parts.append(PlainGaussians(*(part[seen].detach().cpu() for part in plain if part is not None)))
        first += len(gaussians)
    return PlainGaussians(*(torch.cat(columns) for columns in zip(*parts, strict=True)))  # pyright: ignore


def decoded(scene: LiftedScene, layer: LiftedLayer) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 1"]]:
    """Return what a layer's Gaussians show at their means, as rays would see it: sRGB colours, and alphas in [0, 1]."""
    values = layer.decoded
    colours = as_srgb(values[:, : RGBA_CHANNELS - 1].clamp(0, 1), scene.profile).to(values)
    return colours, layer.opacities.clamp(0, 1)[:, None]


def comments_on(scene: LiftedScene) -> Sequence[str]:
    """Return what a file should say of its space."""
    unit = f"{scene.unit:.9g} metres" if scene.metric else "the depth of the middle; true lengths are not known"
    return (
        f"The photo was taken from 0 0 {CAMERA_DISTANCE:g}, looking along -z, with y up",
        f"A unit is {unit}",
    )
