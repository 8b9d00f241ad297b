"""NeuRBF for a picture: radial basis functions, its kernels, that lie where the picture changes, beside a hash grid.

Source: Chen et al. 2023, "NeuRBF: A Neural Fields Representation with Adaptive Radial Basis Functions", section 3. A
point reads the features of its K nearest kernels, where each channel counts as much as the sine of the kernel's value
says, and each channel's sine has a frequency of its own. Beside them stand the features of a coarse and a fine lattice,
and a small MLP turns them all into colour. Centres and shapes of the kernels come from the picture and stay.

Sizes are those of the authors' program for pictures but for three, which fit better in the same, short time. As in
:mod:`gainer_bench.baselines.ingp`, the fine lattice has as many vertices as the longer side has pixels, not
half as many; there are more kernels; and the highest frequency in the MLP is lower, as the fit has far fewer steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from nerfstudio.field_components.mlp import MLP
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import conv2d, embedding, pad

from gainer_bench.baselines.ingp import FlatHashGrid
from gainer_bench.baselines.picture_function import PictureFunction, PictureFunctionConfig, block_by_block
from gainer_ns.fields.hash_grid import HashGridConfig, grid_numbers
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.neighbours import NeighbourIndex

MAX_KERNEL_DISTANCE = 1e3
"""How far from a point, in plane units, its nearest kernels may be: farther than anybody draws."""


@dataclass
class NeurbfConfig(PictureFunctionConfig):
    """How many kernels there are, and how large the grid and the MLP are."""

    _target: type = field(default_factory=lambda: Neurbf)
    kernels_per_pixel: float = 0.33
    """Kernels for each pixel of the picture."""
    neighbours: int = 4
    """How many of them, the nearest, a point reads."""
    features: int = 32
    """Features of a kernel."""
    kernel_frequencies: tuple[float, float] = (2.0**-3, 2.0**12)
    """Lowest and highest frequency of the sines of a kernel's value, in radians; a channel each, evenly in octaves."""
    clustering_rounds: int = 5
    """Rounds of the weighted k-means that places the kernels; the authors' program has 10."""
    base_resolution: int = 16
    """Vertices of the coarse lattice along each side of the picture."""
    finest: float = 1.0
    """Vertices of the fine lattice along each side of the picture, for each pixel of the longer side."""
    log2_table_size: int = 24
    """A lattice has at most 2 to this power table rows; one with more vertices shares rows by hashing."""
    hidden_dim: int = 64
    """Neurons in each of the two hidden layers."""
    layer_frequencies: tuple[float, float] = (1.0, 30.0)
    """Lowest and highest frequency of the sines in the first hidden layer, a neuron each, in radians."""

    def grid(self, plane: ImagePlane) -> HashGridConfig:
        """Return the grid for a picture."""
        return HashGridConfig(
            num_levels=2,
            base_resolution=self.base_resolution,
            max_resolution=max(round(self.finest * max(plane.width, plane.height)), self.base_resolution),
            log2_table_size=self.log2_table_size,
        )

    def kernels(self, plane: ImagePlane) -> int:
        """Return how many kernels a picture has."""
        return min(max(round(self.kernels_per_pixel * plane.pixels), self.neighbours), plane.pixels)

    def numbers(self, plane: ImagePlane) -> int:
        """Return the grid's, the kernels' and the MLP's."""
        width = max(1, self.hidden_dim)
        mlp = width * (self.features + width)
        return grid_numbers(self.grid(plane), 2) + self.kernels(plane) * (self.features + 6) + mlp


class Read(NamedTuple):
    """Which kernels points read."""

    indices: Int64[Tensor, "m k"]
    values: Float[Tensor, "m k"]  # their values, which sum to 1 for each point


class Neurbf(PictureFunction):
    """Kernels, a hash grid and an MLP; see :class:`PictureFunction`.

    Until :meth:`begin` has seen the picture, the kernels are spread over it at random. Centres [n, 2] in plane
    coordinates and precisions [n, 2, 2] belong to the state, but are not trained.
    """

    config: NeurbfConfig
    centres: Float[Tensor, "n 2"]
    precisions: Float[Tensor, "n 2 2"]
    kernel_frequencies: Float[Tensor, " f"]
    layer_frequencies: Float[Tensor, " h"]

    def __init__(self, config: NeurbfConfig, plane: ImagePlane, seed: int = 0) -> None:
        super().__init__(config, plane, seed)
        self.grid = FlatHashGrid(config.grid(plane), seed)
        width = self.grid.output_dim + config.features
        count = config.kernels(plane)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the other devices too
            self.features = Parameter(torch.empty(count, config.features).uniform_(-1e-4, 1e-4))
            self.shift = Parameter(torch.empty(width).uniform_(-1e-4, 1e-4))
            self.first = nn.Linear(width, config.hidden_dim)
            self.mlp = MLP(config.hidden_dim, 2, config.hidden_dim, 3, activation=nn.ReLU())
            centres = (torch.rand(count, 2) * 2 - 1) * torch.tensor(plane.half_extent)
        spacing = plane.pixel_size * (plane.pixels / count) ** 0.5
        self.register_buffer("centres", centres)
        self.register_buffer("precisions", torch.eye(2).repeat(count, 1, 1) / spacing**2)
        for name, length in (("kernel_frequencies", config.features), ("layer_frequencies", config.hidden_dim)):
            low, high = torch.tensor(getattr(config, name)).log2().tolist()
            self.register_buffer(name, torch.logspace(low, high, length, base=2.0), persistent=False)
        self._index: tuple[tuple[int, int], NeighbourIndex] | None = None
        self._of_pixels: tuple[tuple[int, int], Read] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is only remembered, which copies cannot hold."""
        return self.__dict__ | {"_index": None, "_of_pixels": None}

    @torch.no_grad()
    def begin(self, target: Float[Tensor, "h w 3"]) -> None:
        """Place the kernels where the picture changes, and shape them like the pixels around them."""
        rounds = self.config.clustering_rounds
        centres, precisions = place_kernels(target, self.plane, len(self.centres), rounds=rounds, seed=self.seed)
        self.centres.copy_(centres)
        self.precisions.copy_(precisions)

    def forward(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "m 3"]:
        """Return colours, unclamped and differentiable by the parameters, of points in plane coordinates."""
        read = self._read_pixels(points)
        sines = (read.values[..., None] * self.kernel_frequencies).sin_()  # [m, k, f]
        radial = (embedding(read.indices, self.features) * sines).sum(dim=1)
        lattice = self.grid((self.unit_square(points) + 1) / 2)
        return block_by_block(self._through_layers, torch.cat([lattice, radial], dim=-1))

    def _through_layers(self, features: Float[Tensor, "m f"]) -> Float[Tensor, "m 3"]:
        hidden = self.first(features + self.shift)
        return self.mlp(hidden + (hidden * self.layer_frequencies).sin())

    def param_groups(self) -> dict[str, list[Parameter]]:
        """Return the kernels' features, the lattices', and the MLP with what it adds to them."""
        function = [self.shift, *self.first.parameters(), *self.mlp.parameters()]
        return {"kernels": [self.features], "grid": list(self.grid.parameters()), "function": function}

    @torch.no_grad()
    def read(self, points: Float[Tensor, "m 2"]) -> Read:
        """Return each point's nearest kernels, and their inverse quadrics ``1 / (1 + d^T P d)`` over their sum."""
        if self._index is None or self._index[0] != self._key:
            self._index = self._key, NeighbourIndex(self.centres, MAX_KERNEL_DISTANCE)
        found = self._index[1].query(points, self.config.neighbours)
        indices = found.indices.long().clamp(min=0)
        offsets = points[:, None] - self.centres[indices]
        distances = torch.einsum("mki,mkij,mkj->mk", offsets, self.precisions[indices], offsets)
        values = found.valid / (1 + distances)  # missing are only those of pictures with fewer pixels than neighbours
        return Read(indices, values / values.sum(dim=1, keepdim=True))

    def _read_pixels(self, points: Float[Tensor, "m 2"]) -> Read:
        """Return the same, from memory where all the points are centres of pixels."""
        pixels = self.plane.pixel_at(points)
        if not torch.equal(self.plane.pixel_centres(pixels), points):
            return self.read(points)
        if self._of_pixels is None or self._of_pixels[0] != self._key:
            every = torch.arange(self.plane.pixels, device=points.device)
            blocks = [self.read(self.plane.pixel_centres(block)) for block in every.split(1 << 16)]
            self._of_pixels = self._key, Read(*(torch.cat(part) for part in zip(*blocks, strict=True)))
        indices, values = self._of_pixels[1]
        return Read(indices[pixels], values[pixels])

    @property
    def _key(self) -> tuple[int, int]:
        """Another one for other centres: after :meth:`begin`, a loaded state or a move to another device."""
        return self.centres.data_ptr(), self.centres._version


WIDENING_FACTOR = 2.0
"""Covariance of a kernel over that of the pixels nearest to it."""
MIN_DEVIATION_PX = 0.5
"""Least standard deviation of a kernel along any direction, in pixels: that of a cluster may be a line."""


def gradient_magnitudes(picture: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """Return how strongly a picture changes at each pixel: the length of Sobel's gradients of all channels."""
    smooth, slope = picture.new_tensor([1, 2, 1]), picture.new_tensor([-1, 0, 1])
    along_x = smooth[:, None] * slope / 8
    filters = torch.stack([along_x, along_x.T])[:, None]
    channels = pad(picture.permute(2, 0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    return conv2d(channels, filters).square().sum(dim=(0, 1)).sqrt()


def place_kernels(
    picture: Float[Tensor, "h w 3"], plane: ImagePlane, count: int, *, rounds: int, seed: int
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2 2"]]:
    """Return centres and precisions of kernels that fit a picture (Chen et al. 2023, section 3).

    The centres are clusters of the pixels, found by k-means where a pixel weighs as much as the picture changes there.
    A kernel's covariance is that of its cluster, about the centre, but wider.

    Args:
        picture: The picture.
        plane: Its plane.
        count: How many kernels ``n`` are wanted, at most as many as there are pixels.
        rounds: Rounds of k-means.
        seed: Of the pixels that the centres start from.

    Returns:
        Centres in plane coordinates, and inverse covariances.
    """
    weights = gradient_magnitudes(picture).flatten()
    weights = weights + 1e-3 * weights.mean() + 1e-9  # flat regions have kernels too, if few
    points = plane.pixel_centres(torch.arange(plane.pixels, device=picture.device))
    waiting = torch.empty(plane.pixels).exponential_(generator=torch.Generator().manual_seed(seed))
    centres = points[(weights / waiting.to(weights.device)).topk(count).indices]  # drawn by weight, each once
    for _ in range(rounds):
        labels = _nearest(points, centres)
        total = _sums(labels, weights, count)
        moved = torch.stack([_sums(labels, weights * axis, count) for axis in points.unbind(-1)], dim=-1)
        centres = torch.where(total[:, None] > 0, moved / total[:, None], centres)
    labels = _nearest(points, centres)
    x, y = (points - centres[labels]).unbind(-1)
    xx, xy, yy = (_sums(labels, weights * product, count) for product in (x * x, x * y, y * y))
    covariances = torch.stack([xx, xy, xy, yy], dim=-1).view(-1, 2, 2)
    covariances = WIDENING_FACTOR * covariances / _sums(labels, weights, count).clamp(min=1e-30)[:, None, None]
    least = (MIN_DEVIATION_PX * plane.pixel_size) ** 2
    return centres, torch.linalg.inv(covariances + least * torch.eye(2, device=centres.device))


def _nearest(points: Float[Tensor, "m 2"], centres: Float[Tensor, "n 2"]) -> Int64[Tensor, " m"]:
    """Return which centre each point is nearest to."""
    return NeighbourIndex(centres, radius=10.0).query(points, 1).indices[:, 0].long()


def _sums(labels: Int64[Tensor, " m"], values: Float[Tensor, " m"], count: int) -> Float[Tensor, " n"]:
    """Return sums of the values of each label."""
    return torch.bincount(labels, weights=values, minlength=count).to(values.dtype)
