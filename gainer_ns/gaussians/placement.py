"""Where Gaussians start."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d

from gainer_ns.frames import ImagePlane


def lattice_spacing(plane: ImagePlane, gaussians_per_pixel: float) -> float:
    """Return the distance between neighbouring means of the lattice, in plane units."""
    return plane.pixel_size / math.sqrt(gaussians_per_pixel)


def lattice_size(plane: ImagePlane, gaussians_per_pixel: float) -> tuple[int, int]:
    """Return the lattice's number of columns and rows."""
    per_side = math.sqrt(gaussians_per_pixel)
    return max(1, round(plane.width * per_side)), max(1, round(plane.height * per_side))


def lattice_axes(plane: ImagePlane, columns: int, rows: int) -> tuple[Float[Tensor, " c"], Float[Tensor, " r"]]:
    """Return the x of each column, and the y of each row, of a lattice that fills the picture, in plane units."""
    places = torch.zeros(max(columns, rows), 2, dtype=torch.float64)
    places[:columns, 0] = (torch.arange(columns, dtype=torch.float64) + 0.5) * (plane.width / columns)
    places[:rows, 1] = (torch.arange(rows, dtype=torch.float64) + 0.5) * (plane.height / rows)
    x, y = plane.plane_from_pixel(places).float().unbind(1)
    return x[:columns].contiguous(), y[:rows].contiguous()


def lattice_means(
    plane: ImagePlane,
    gaussians_per_pixel: float = 1.0,
    *,
    jitter: float = 0.0,
    inside: Bool[Tensor, "h w"] | None = None,
    seed: int = 0,
) -> Float[Tensor, "n 2"]:
    """Place means on a square lattice, row by row, in plane units.

    With one Gaussian a pixel they are the pixel centres.

    ``jitter`` is the largest random displacement along each axis, in lattice spacings; ``inside`` are the pixels that
    get Gaussians, None for all.
    """
    columns, rows = lattice_size(plane, gaussians_per_pixel)
    if jitter == 0 and inside is None:
        return torch.stack(torch.meshgrid(*lattice_axes(plane, columns, rows), indexing="xy"), dim=-1).view(-1, 2)
    x = (torch.arange(columns, dtype=torch.float64) + 0.5) * (plane.width / columns)
    y = (torch.arange(rows, dtype=torch.float64) + 0.5) * (plane.height / rows)
    pixel = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)
    if jitter > 0:
        noise = torch.rand(pixel.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        step = torch.tensor([plane.width / columns, plane.height / rows], dtype=torch.float64)
        pixel = pixel + (2 * noise - 1) * jitter * step
    return _kept(plane, pixel, inside)


def uniform_means(
    plane: ImagePlane, count: int, *, inside: Bool[Tensor, "h w"] | None = None, seed: int = 0
) -> Float[Tensor, "n 2"]:
    """Draw means uniformly over the picture (paper, section 3.2), or over the pixels that are ``inside``.

    They are in plane units (none if no pixel is inside), sorted along the rows so that neighbours are near in memory.
    """
    generator = torch.Generator().manual_seed(seed)
    fraction = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    if inside is None:
        pixel = fraction * torch.tensor([plane.width, plane.height], dtype=torch.float64)
    else:
        chosen = inside.flatten().nonzero().squeeze(-1)
        if len(chosen) == 0:
            return torch.empty(0, 2)
        chosen = chosen[torch.randint(len(chosen), (count,), generator=generator)]
        pixel = torch.stack([chosen % plane.width, chosen // plane.width], dim=-1) + fraction
    row_major = pixel[:, 1].floor() * plane.width + pixel[:, 0]
    return plane.plane_from_pixel(pixel[row_major.argsort(stable=True)]).float()


def means_by_detail(
    plane: ImagePlane,
    colours: Float[Tensor, "h w c"],
    count: int,
    *,
    uniform_share: float = 0.2,
    inside: Bool[Tensor, "h w"] | None = None,
    seed: int = 0,
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """Place means densely where a picture changes much from pixel to pixel, but a ``uniform_share`` of them evenly.

    ``inside`` are the pixels that get Gaussians, None for all.

    Returns:
        ``count`` means in plane units (none if no pixel is inside), in the order of their pixels, so that neighbours
        are near in memory; and the distance of the means around each.
    """
    share = detail_share(colours, uniform_share).flatten()
    if inside is not None:
        share = share * inside.flatten().to(share.device)
    total = float(share.sum(dtype=torch.float64))
    if total == 0:
        return torch.empty(0, 2), torch.empty(0)
    pixel = sampled_pixels(share, count, seed)
    within = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed + 1)).to(colours)
    place = torch.stack([pixel % plane.width, pixel // plane.width], dim=1) + within
    density = share[pixel] * (count / total)
    return plane.plane_from_pixel(place).float(), plane.pixel_size / density.clamp(min=1e-12).sqrt()


def sampled_pixels(share: Float[Tensor, " m"], count: int, seed: int) -> Int[Tensor, " n"]:
    """Draw ``count`` indices by their share, one from each ``1 / count`` of the whole, in ascending order.

    Shares are not negative and not all 0; what has a large one is drawn more than once.
    """
    sums = share.double().cumsum(0)
    random = torch.rand(count, generator=torch.Generator().manual_seed(seed))
    rank = (torch.arange(count) + random).double().to(sums) * (sums[-1] / count)
    return torch.searchsorted(sums, rank).clamp(max=len(sums) - 1)


def detail_share(colours: Float[Tensor, "h w c"], uniform_share: float) -> Float[Tensor, "h w"]:
    """Return a density that sums to 1: partly even, partly by how much a picture changes around a pixel."""
    grey = torch.nn.functional.pad(colours.mean(dim=2)[None, None], (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    along = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    detail = (across.square() + along.square()).sqrt()
    detail = avg_pool2d(detail, 5, stride=1, padding=2, count_include_pad=False)[0, 0].sqrt() + 1e-4
    return uniform_share / detail.numel() + (1 - uniform_share) * detail / detail.sum()


def _kept(plane: ImagePlane, pixel: Float[Tensor, "n 2"], inside: Bool[Tensor, "h w"] | None) -> Float[Tensor, "m 2"]:
    if inside is not None:
        column = pixel[:, 0].long().clamp(0, plane.width - 1)
        row = pixel[:, 1].long().clamp(0, plane.height - 1)
        pixel = pixel[inside[row, column]]
    return plane.plane_from_pixel(pixel).float()
