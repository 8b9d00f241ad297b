"""Solve a picture in bands of rows, so that memory for one band is enough however large the picture is.

What one pixel says about a feature fades by half with every pixel of distance, so a band solved together with a halo of
rows on either side agrees with the whole picture solved at once to far below any target.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.fitting.gauss_newton import GaussNewtonConfig, gauss_newton_step
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import AggregationMatrix, gaussian_weights
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.opacity import OPACITY_OVERSHOOT
from gainer_ns.gaussians.slopes import stacked_matrix, stacked_rows

BAND_PIXELS = 1 << 20
"""Pixels of a band: pictures up to this size are fitted whole."""
HALO_ROWS = 24
"""Rows on either side of a band that are solved with it and then forgotten."""
_MAX_OPACITY_STEPS = 6
"""Two or three are enough for 8 bits, four or five for 16."""
_TOLERANCE_LEVELS = 0.125
"""Largest error at which the fit ends, in levels."""


@dataclass(frozen=True)
class Band:
    """A band of rows with its halo.

    Attributes:
        pixels: Positions, in the list of fitted pixels, of those in the band and its halo.
        rows: Rows of the table of features (and slopes) that these pixels may read.
        own_pixels: Which of the pixels belong to the band itself.
        own_rows: Which of these rows belong to the band itself.
        matrix: Aggregation from ``rows`` to ``pixels``.
    """

    pixels: Int[Tensor, " m"]
    rows: Int[Tensor, " r"]
    own_pixels: Bool[Tensor, " m"]
    own_rows: Bool[Tensor, " r"]
    matrix: AggregationMatrix


class BandsStep(NamedTuple):
    """Progress of a Gauss-Newton step over all bands.

    Attributes:
        bands: How many bands are done.
        products: The largest number of matrix products that a band took; 0 if no band got any better.
        squared_error: Sum over the pixels of the mean squared error of their bands before it.
        pixels: How many pixels that were; rows that two bands share count in both.
    """

    bands: int = 0
    products: int = 0
    squared_error: float = 0.0
    pixels: int = 0

    @property
    def error_before(self) -> float:
        """Mean squared error before it."""
        return self.squared_error / max(self.pixels, 1)


_NO_BANDS = BandsStep()


class PictureBands:
    """The fitted pixels of a picture and the Gaussians they read, band by band.

    Args:
        plane: The picture's plane.
        gaussians: Gaussians with frozen means and covariances. What they hold is not used, but where they have slopes,
            all tables of features here are tables of features and slopes (see :mod:`gainer_ns.gaussians.slopes`).
        num_neighbours: How many Gaussians a pixel reads.
        pixels: Row-major indices of the fitted pixels, ascending.
        band_pixels: Size of a band; None for ``BAND_PIXELS``.

    Attributes:
        seconds: Time spent so far on making bands.
    """

    def __init__(
        self,
        plane: ImagePlane,
        gaussians: GaussianSet,
        num_neighbours: int,
        pixels: Int[Tensor, " m"],
        *,
        band_pixels: int | None = None,
    ) -> None:
        self.plane = plane
        self.pixels = pixels
        self.num_neighbours = num_neighbours
        self._gaussians = gaussians
        band_pixels = band_pixels or BAND_PIXELS
        rows = plane.height if plane.pixels <= band_pixels else max(1, band_pixels // plane.width)
        self._starts = list(range(0, plane.height, rows))
        self._rows = rows
        self._only: Band | None = None
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Band]:
        """Make the bands from top to bottom, each when it is its turn; the only one is kept."""
        return self._after(0)

    def _after(self, done: int) -> Iterator[Band]:
        """Make the bands from top to bottom, but those that are done."""
        if len(self) > 1:
            yield from (self._band(start, start + self._rows) for start in self._starts[done:])
        elif done == 0:
            if self._only is None:
                self._only = self._band(0, self.plane.height)
            yield self._only

    @torch.no_grad()
    def gauss_newton_step(
        self,
        features: Float[Tensor, "r f"],
        decoder: Decoder,
        target: Float[Tensor, "m c"],
        damping: float,
        config: GaussNewtonConfig,
        *,
        channels: slice = slice(None),
        offset: Float[Tensor, "m f"] | None = None,
        so_far: BandsStep = _NO_BANDS,
        after_band: Callable[[BandsStep], None] = lambda done: None,
    ) -> BandsStep:
        """Take one Gauss-Newton step on the features of all Gaussians, in place, band after band.

        For the first arguments see :func:`gainer_ns.fitting.gauss_newton.gauss_newton_step`. A step that was begun goes
        on after the bands that are done ``so_far``; ``after_band`` is called with what has been done after every band.
        """
        done = so_far
        for band in self._after(so_far.bands):
            step = gauss_newton_step(
                band.matrix,
                features[band.rows],
                decoder,
                target[band.pixels],
                damping,
                config,
                channels=channels,
                offset=0.0 if offset is None else offset[band.pixels],
            )
            products = done.products
            if step.improved:
                features[band.rows[band.own_rows]] = step.features[band.own_rows]
                products = max(products, step.products)
            error = done.squared_error + step.error_before * len(band.pixels)
            done = BandsStep(done.bands + 1, products, error, done.pixels + len(band.pixels))
            after_band(done)
        return done

    @torch.no_grad()
    def decode(self, features: Float[Tensor, "r f"], decoder: Decoder) -> Float[Tensor, "m c"]:
        """Return the colours of the fitted pixels."""
        return self._each(features, decoder.decode, decoder.channels)

    @torch.no_grad()
    def read(self, features: Float[Tensor, "r f"]) -> Float[Tensor, "m f"]:
        """Return the features that the fitted pixels read."""
        return self._each(features, lambda read: read, features.shape[1])

    def _each(self, features: Float[Tensor, "r f"], of: Callable[[Tensor], Tensor], width: int) -> Tensor:
        """Apply a function to what the pixels read, band after band: what all read would take too much memory."""
        found = features.new_empty(len(self.pixels), width)
        for band in self:
            of_band = of(band.matrix @ features[band.rows])
            found[band.pixels[band.own_pixels]] = of_band[band.own_pixels]
        return found

    def _band(self, top: int, bottom: int) -> Band:
        """Make the band of rows ``top`` to ``bottom`` (exclusive)."""
        started = time.monotonic()
        width = self.plane.width
        first, last = (top - HALO_ROWS) * width, (bottom + HALO_ROWS) * width
        begin, end = torch.searchsorted(self.pixels, torch.tensor([first, last], device=self.pixels.device)).tolist()
        pixels = self.pixels[begin:end]
        rows_of_means = self.plane.pixel_from_plane(self._gaussians.means)[:, 1]
        support = HALO_ROWS + self._gaussians.radius / self.plane.pixel_size
        chosen = ((rows_of_means >= top - support) & (rows_of_means <= bottom + support)).nonzero()[:, 0]
        rows = rows_of_means[chosen]
        top_row = top if top > 0 else -torch.inf  # means outside the picture belong to the band of its border
        bottom_row = bottom if bottom < self.plane.height else torch.inf
        gaussians, points = self._gaussians[chosen], self.plane.pixel_centres(pixels)
        neighbours = NeighbourIndex(gaussians.means, gaussians.radius).query(points, self.num_neighbours)
        weights = gaussian_weights(points, neighbours, gaussians.means, gaussians.precisions)
        matrix = AggregationMatrix.from_neighbours(neighbours, weights, len(gaussians))
        own = (rows >= top_row) & (rows < bottom_row)
        if gaussians.slopes is not None:
            matrix = stacked_matrix(matrix, points, gaussians)
            own = own.repeat(1 + gaussians.dimensions)
            chosen = stacked_rows(chosen, len(self._gaussians), gaussians.dimensions)
        band = Band(
            pixels=torch.arange(begin, end, device=self.pixels.device),
            rows=chosen,
            own_pixels=(pixels >= top * width) & (pixels < bottom * width),
            own_rows=own,
            matrix=matrix,
        )
        self.seconds += time.monotonic() - started
        return band


@torch.no_grad()
def fit_opacities(
    plane: ImagePlane,
    gaussians: GaussianSet,
    num_neighbours: int,
    pixels: Int[Tensor, " m"],
    field: Float[Tensor, " m"],
    bit_depth: int = 16,
) -> Float[Tensor, " n"]:
    """Fit opacities of Gaussians whose averages are a field.

    Opacity extrapolated beyond 0 and 1, clamped where it shows.

    The fit begins with the opacities that the Gaussians have, and ends once all levels of so many bits are met.
    ``pixels`` are the row-major indices of those that are fitted, ascending.
    """
    assert gaussians.opacities is not None
    identity = Decoder(1, 1, hidden_layers=0).to(field.device)
    identity.linear.weight.data.fill_(1.0)
    identity.linear.bias.data.zero_()
    bands = PictureBands(plane, replace(gaussians, slopes=None), num_neighbours, pixels)  # opacities have none
    opacities, target, config = gaussians.opacities[:, None].clone(), field[:, None], GaussNewtonConfig()
    tolerance, ends = _TOLERANCE_LEVELS / (2**bit_depth - 1), (-OPACITY_OVERSHOOT, 1 + OPACITY_OVERSHOOT)
    for step in range(_MAX_OPACITY_STEPS):
        bands.gauss_newton_step(opacities, identity, target, config.damping * config.damping_decay**step, config)
        error = bands.decode(opacities, identity).clamp(*ends) - target.clamp(*ends)
        if float(error.abs().max()) < tolerance:
            break
    return opacities[:, 0]
