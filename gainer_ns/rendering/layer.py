"""One layer of a picture: Gaussians with their decoder, read at any points of the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gainer_ns.fields.decoder import Decoder
from gainer_ns.frames import ImagePlane
from gainer_ns.gaussians.aggregation import search_and_aggregate
from gainer_ns.gaussians.footprints import MIN_TABLE_NODES, Footprints, PixelExtent
from gainer_ns.gaussians.gaussian_set import GaussianSet
from gainer_ns.gaussians.lattice import EDGE_SLOPE, NEAR_NODES, Corner, GaussianRows, Lattice
from gainer_ns.gaussians.neighbours import NeighbourIndex
from gainer_ns.gaussians.ordering import spread_order
from gainer_ns.io.colour_profiles import ColourProfile, Conversion
from gainer_ns.motion.rest_map import PointRows
from gainer_ns.rendering.matte import Matte
from gainer_ns.rendering.pixel_table import MAX_TABLE_PIXELS, PixelTable, Sampling, has_room
from gainer_ns.rendering.point_colours import PointColours
from gainer_ns.ways import Way

MAX_TABLE_ENLARGEMENT = 1.25
"""Of both sides of a pixel, up to which what has moved is read of a table where no lattice holds it."""


@dataclass(frozen=True)
class Layer:
    """Gaussians, and how points read them. Points never read the Gaussians of two layers.

    Attributes:
        gaussians: Means, covariances, features and opacities.
        decoder: From features to colours.
        num_neighbours: How many Gaussians a point reads.
        half_extent: Half the width and height, in plane units, of the frame beyond which nothing is shown; None where
            the opacities alone say where the layer ends.
        conversion: From the colours that the decoder tells to those of the picture that the layer is in; None where
            these are the same.
        sampling: How it is read between its pixels; None for smoothly.
        matte: Its opacity, where few Gaussians could not tell it; None where their own opacities do.
        part_of: Spacing of the lattice that these Gaussians are a part of, see :meth:`part`; None where they are all.
    """

    gaussians: GaussianSet
    decoder: Decoder
    num_neighbours: int
    half_extent: tuple[float, float] | None = None
    conversion: Conversion | None = None
    sampling: Sampling | None = None
    matte: Matte | None = None
    part_of: float | None = None

    @cached_property
    def index(self) -> NeighbourIndex:
        """The neighbour index over the means, built on first use."""
        gaussians = self.gaussians
        return NeighbourIndex(gaussians.means, gaussians.radius, gaussians.inverse_jacobians)

    @cached_property
    def _precisions(self) -> Float[Tensor, "s d d"]:
        return self.gaussians.precisions

    @cached_property
    def _columns(self) -> Float[Tensor, "n c"]:
        """What is averaged: features, and opacities as a first column where there are some."""
        if self._averaged_opacities is None:
            return self.gaussians.features
        return torch.cat([self._averaged_opacities[:, None], self.gaussians.features], dim=1)

    @cached_property
    def _slopes(self) -> Float[Tensor, "n c d"] | None:
        """How the first columns change away from the means; opacities are read as they are."""
        gaussians = self.gaussians
        if self._averaged_opacities is None or gaussians.slopes is None:
            return gaussians.slopes
        return torch.cat([torch.zeros_like(gaussians.slopes[:, :1]), gaussians.slopes], dim=1)

    @property
    def _averaged_opacities(self) -> Float[Tensor, " n"] | None:
        """What the Gaussians say of opacity, where no matte does."""
        return self.gaussians.opacities if self.matte is None else None

    def __len__(self) -> int:
        """Count its Gaussians."""
        return len(self.gaussians)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.gaussians.means.device

    @property
    def has_alpha(self) -> bool:
        """Whether it may be transparent where it is."""
        return self.gaussians.opacities is not None

    @property
    def is_moved(self) -> bool:
        """Whether its Gaussians are no longer where they were fitted."""
        return self.gaussians.inverse_jacobians is not None

    def converted(self, own: ColourProfile | None, profile: ColourProfile | None) -> Layer:
        """Return the layer of a picture in its own profile as one of a picture in another."""
        source = own if self.conversion is None else self.conversion.source
        return replace(self, conversion=None if source == profile else Conversion(source, profile))

    @cached_property
    def bounds(self) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
        """Lowest and highest coordinates, in plane units, at which there can be anything."""
        if self.half_extent is not None:
            half = self.gaussians.means.new_tensor(self.half_extent) * (1 + 1e-6)
            return -half, half
        means = self.gaussians.means
        if len(means) == 0:
            return means.new_full((2,), torch.inf), means.new_full((2,), -torch.inf)
        margin = 0.0 if self.gaussians.opacities is not None else self.gaussians.radius
        return means.amin(dim=0) - margin, means.amax(dim=0) + margin

    def sampled(self, way: Way, plane: ImagePlane) -> Layer:
        """Return the layer of a picture on a plane, read in another way between its pixels."""
        return replace(self, sampling=None if way == "smooth" else Sampling(way, plane))

    def coarse(self, fraction: float) -> Layer:
        """Return a fraction of the Gaussians, spread over the picture and as much larger as there are fewer of them.

        Slopes, which hold for their own surroundings only, are left out, and colours beyond those of any picture, which
        were for the sake of neighbours, are clamped.
        """
        count = max(1, round(fraction * len(self.gaussians)))
        if count >= len(self.gaussians):
            return self
        chosen, growth = spread_order(self.gaussians.means)[:count].sort().values, len(self.gaussians) / count
        kept = self.gaussians[chosen]
        if kept.slopes is not None and self.decoder.mlp is None:
            kept = replace(kept, features=self.decoder.features_for(self.decoder.decode(kept.features).clamp(0, 1)))
        wider = {"covariances": kept.covariances * growth, "radius": kept.radius * math.sqrt(growth)}
        kept = replace(kept, **wider, slopes=None)
        return replace(self, gaussians=kept)

    def with_gaussians(self, gaussians: GaussianSet) -> Layer:
        """Return the same layer with other Gaussians, which a matte no longer fits where they were moved."""
        matte = self.matte if gaussians.inverse_jacobians is None else None
        return replace(self, gaussians=gaussians, matte=matte)

    def to(self, device: torch.device | str) -> Layer:
        """Return the same layer on a device, itself where it is there; the decoder moves in place."""
        decoder = self.decoder.to(device)
        if self.device == torch.empty(0, device=device).device:
            return self
        matte = self.matte and self.matte.to(device)
        return replace(self, gaussians=self.gaussians.to(device), decoder=decoder, matte=matte)

    @torch.no_grad()
    def at(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None = None) -> PointColours:
        """Draw any points of the plane; those that are not finite are transparent.

        Args:
            points: The points.
            extent: What each stands for, over which it is averaged where that is more than a pixel at rest; None for
                the points themselves.
        """
        low, high = self.bounds
        within = (points >= low) & (points <= high)
        inside = within[:, 0] & within[:, 1]  # a quarter of the time of all(dim=1)
        if len(self.gaussians) > 0 and bool(inside.all()):
            return self._inside(points, extent)
        drawn = PointColours.nothing(points)
        if len(self.gaussians) > 0 and bool(inside.any()):
            extent = None if extent is None else extent[inside]
            for whole, part in zip(drawn, self._inside(points[inside], extent), strict=True):
                whole[inside] = part
        return drawn

    def over(self, rows: PointRows, extent: PixelExtent | None = None) -> PointColours:
        """Draw points in rows and columns; see :meth:`at`."""
        return self.at(rows.points, extent)

    def read(self, points: Float[Tensor, "m 2"], extent: PixelExtent) -> PointColours:
        """Draw points as :meth:`at` does, but end across the frame over a pixel, as what has moved does."""
        if len(points) == 0 or len(self.gaussians) == 0:
            return PointColours.nothing(points)
        if self.lattice is not None and not self._reads_pixels:
            return self._on_lattice(points, self.lattice, extent, ends=True)
        if self.way == "nearest":
            return self._pixels(extent.pixel).read(points, extent, self.way, self.half_extent, ends=True)
        sides, least = extent.longest_sides(points), 1 / MAX_TABLE_ENLARGEMENT
        if not (bool((sides > least).any()) and self.has_table(extent.pixel)):
            return self._searched(points, extent)
        drawn = self._pixels(extent.pixel).read(points, extent, self.way, self.half_extent, ends=True)
        enlarged = ((sides > 0) & (sides <= least)).nonzero()[:, 0]
        if len(enlarged) > 0:
            searched = self._searched(points[enlarged], extent[enlarged])
            for whole, part in zip(drawn, searched, strict=True):
                whole[enlarged] = part
        return drawn

    def _searched(self, points: Float[Tensor, "m 2"], extent: PixelExtent) -> PointColours:
        """Return the same without tables."""
        drawn = self._endless.at(points, extent)
        if self.half_extent is None:
            return drawn
        half = points.new_tensor(self.half_extent)
        wide = extent.pixel
        if extent.inverse_jacobians is not None and extent.side > 0:
            wide = extent.side * extent.inverse_jacobians.square().sum(dim=2).sqrt()
            wide = wide.clamp(1e-3 * extent.pixel, extent.pixel)
        inside = ((half - points.abs()) / wide).amin(dim=1, keepdim=True)
        alpha = drawn.alpha * (0.5 + EDGE_SLOPE * inside).clamp(0, 1)
        return PointColours(drawn.rgb * (alpha > 0), alpha)

    @cached_property
    def _endless(self) -> Layer:
        """The same without a frame."""
        return replace(self, half_extent=None)

    @cached_property
    def lattice(self) -> Lattice | None:
        """The lattice on which the Gaussians stand, where nothing has moved yet and points read a whole block of it."""
        return Lattice.of(self.gaussians, self.part_of) if self.num_neighbours >= NEAR_NODES else None

    @cached_property
    def _rows(self) -> GaussianRows | None:
        return GaussianRows.of(self.gaussians) if self.num_neighbours >= NEAR_NODES else None

    @property
    def is_large(self) -> bool:
        """Whether it fills a lattice that is too large for tables, and for being copied without need."""
        return self._rows is not None and self._rows.nodes > MAX_TABLE_PIXELS

    def part(self, low: Corner, high: Corner, side: float, *, is_moved: bool = False) -> Layer | None:
        """Return the layer with those Gaussians alone that points between two corners read, smoothly.

        Args:
            low: Least coordinates.
            high: Largest.
            side: Of what a point stands for, about.
            is_moved: Whether something has moved, and perhaps shrunk, what is read.

        Returns:
            The part; None where points may read what only the whole layer tells.
        """
        if self._rows is None or self.way != "smooth":
            return None
        if not self.is_large and (is_moved or side >= MIN_TABLE_NODES * self._rows.spacing):
            return None  # tables of parts would begin elsewhere
        (left, bottom), (right, top) = low, high
        gaussians = self._rows.part((left - side, bottom - side), (right + side, top + side))
        return replace(self, gaussians=gaussians, part_of=self._rows.spacing)

    @cached_property
    def _lattice_table(self) -> Tensor:
        """What the lattice's nodes hold: opacity, and colours where decoding is linear, features elsewhere."""
        assert self.lattice is not None
        gaussians = self.gaussians
        values = self.decoder.decode(gaussians.features) if self.decoder.mlp is None else gaussians.features
        if gaussians.opacities is not None:
            values = torch.cat([gaussians.opacities[:, None], values], dim=1)
        return self.lattice.table(values)

    @property
    def way(self) -> Way:
        """How it is read between its pixels."""
        return "smooth" if self.sampling is None else self.sampling.way

    @cached_property
    def _reads_pixels(self) -> bool:
        """Whether its sampling needs what is drawn at the centres of its pixels, and the lattice does not hold that."""
        return self.sampling is not None and (
            self.lattice is None or self.decoder.mlp is not None or not self.sampling.is_of(self.lattice)
        )

    @cached_property
    def _tables(self) -> dict[float, PixelTable]:
        return {}

    def _pixels(self, pixel: float) -> PixelTable:
        """Return what is drawn smoothly at the centres of pixels of a side, made once."""
        if pixel not in self._tables:
            sampling = self.sampling and self.sampling._replace(way="smooth")
            self._tables[pixel] = PixelTable.drawn(lambda points: self._smooth(points)[0], self.bounds, pixel, sampling)
        return self._tables[pixel]

    def has_table(self, pixel: float) -> bool:
        """Return whether tables, which need memory, are read for pixels of a side: of what shrinks much, or moves."""
        if self.part_of is not None or self.is_large:
            return False
        if self.lattice is not None:
            return len(self.lattice.x) * len(self.lattice.y) <= MAX_TABLE_PIXELS
        if pixel in self._tables:
            return True
        low, high = self.bounds
        return len(self.gaussians) > 0 and not self.is_moved and has_room(float(((high - low) / pixel).prod()))

    @cached_property
    def _own_values(self) -> Tensor:
        """The pyramid of what is read at the lattice's nodes."""
        assert self.lattice is not None
        clear = self.gaussians.opacities is not None
        return self.lattice.own_values(self._lattice_table, self.half_extent, has_opacities=clear)

    def _on_lattice(
        self,
        points: Float[Tensor, "m 2"],
        lattice: Lattice,
        extent: PixelExtent | None,
        *,
        ends: bool = False,
        way: Way | None = None,
    ) -> PointColours:
        clear, way = self.gaussians.opacities is not None, way or self.way
        pixel = lattice.spacing if extent is None else extent.pixel
        read = lattice.read(
            points,
            self._lattice_table,
            extent,
            half_extent=self.half_extent,
            has_opacities=clear,
            way=way,
            own=None if way == "smooth" and not self.has_table(pixel) else lambda: self._own_values,
            ends=ends,
        )
        alpha, values = read[:, -1:], read[:, :-1]
        if clear:
            alpha, values = alpha * values[:, :1].clamp(0, 1), values[:, 1:]
        rgb = values if self.decoder.mlp is None else self.decoder.decode(values)
        if self.conversion is not None:
            rgb = self.conversion(rgb)
        if clear or rgb is not values:  # what is read is 0 where nothing is, what is made of it need not be
            rgb = rgb * (alpha > 0)
        return PointColours(rgb, alpha)

    def _inside(self, points: Float[Tensor, "m 2"], extent: PixelExtent | None) -> PointColours:
        if self._reads_pixels and self.sampling is not None and self.way == "nearest":
            extent = extent or PixelExtent(0.0, self.sampling.plane.pixel_size)
            return self._pixels(extent.pixel).read(points, extent, self.way, self.half_extent)
        if self.lattice is not None and not self._reads_pixels:
            return self._on_lattice(points, self.lattice, extent)
        if extent is not None and extent.may_read_tables(extent.pixel) and self.has_table(extent.pixel):
            return self._pixels(extent.pixel).read(points, extent, "smooth", self.half_extent)
        if extent is not None and extent.is_draft:
            extent = None
        inverses = self.gaussians.inverse_jacobians
        if extent is not None and inverses is not None:
            nearest = self._limited(points)[1]
            inverses = inverses.expand(len(self.gaussians), 2, 2)[nearest.clamp(min=0)] * (nearest >= 0)[:, None, None]
        footprints = None if extent is None else Footprints.of(extent, points, inverses)
        return PointColours.averaged_over(points, footprints, lambda samples: self._limited(samples)[0])

    def _smooth(self, points: Float[Tensor, "m 2"]) -> tuple[PointColours, Int[Tensor, " m"]]:
        """Return what points show, read smoothly, and the nearest Gaussian of each, where no lattice tells it."""
        if self.lattice is None:
            return self._at_neighbours(points)
        return self._on_lattice(points, self.lattice, None, way="smooth"), points.new_zeros(len(points)).long()

    def _limited(self, points: Float[Tensor, "m 2"]) -> tuple[PointColours, Int[Tensor, " m"]]:
        """Return the same, clamped where its sampling says so."""
        drawn, nearest = self._smooth(points)
        if self.sampling is not None and self.way == "clamped":
            drawn = self._pixels(self.sampling.plane.pixel_size).clamped(points, drawn)
        return drawn, nearest

    def _at_neighbours(self, points: Float[Tensor, "m 2"]) -> tuple[PointColours, Int[Tensor, " m"]]:
        """Return what points show of their nearest Gaussians, and which is the nearest, -1 where there is none."""
        gaussians = self.gaussians
        read, nearest = search_and_aggregate(
            self.index, points, self.num_neighbours, gaussians.means, self._precisions, self._columns, self._slopes
        )
        alpha = (nearest >= 0)[:, None].to(gaussians.features.dtype)
        if self.matte is not None:
            alpha = alpha * self.matte.at(points)
        elif gaussians.opacities is not None:
            alpha, read = alpha * read[:, :1].clamp(0, 1), read[:, 1:]
        shown = (alpha[:, 0] > 0).nonzero()[:, 0]
        if len(shown) == len(points):
            rgb = self._colours(read)
        else:
            rgb = points.new_zeros(len(points), self.decoder.channels)
            rgb[shown] = self._colours(read[shown])
        return PointColours(rgb, alpha), nearest

    def _colours(self, features: Float[Tensor, "m f"]) -> Float[Tensor, "m 3"]:
        colours = self.decoder.decode(features)
        return colours if self.conversion is None else self.conversion(colours)
