"""Edited pictures as parts of a file: layers at rest, each once, and the sheets that pose them or other sheets."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane
from gainer_ns.motion.control_grid import ControlGrid
from gainer_ns.motion.rest_map import RestMap
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import AnyLayer, BakedPicture
from gainer_ns.rendering.presence import Presence
from gainer_ns.rendering.sheet import Sheet
from gainer_ns.storage.checks import MAX_STORED_NUMBER, check_sizes, checked_plane, whole_number
from gainer_ns.storage.means import Bits

MAX_POSES = 32
"""How many times over a picture may have been edited: a sheet of a sheet is drawn by a call within a call."""
_MAX_HALF_PRESENCE = 4.0
"""Presence fields of half floats end here: what counts of them lies between 0 and 1."""
_MIN_STEP = 1e-9
"""The shortest step of a grid that is read, in plane units."""
_NODE_UNITS_PER_PX = 4096
_MAX_NODE_UNITS = 2**29
"""Of which changes of changes still are numbers of 32 bits: 131,072 pixels."""
_MIN_NODES = 4
"""Of a control grid, along a side: its first and last are on no patch."""
_MAX_COLUMN = 2**31

Reference = dict[str, int]
"""Where a part stands in a file: ``{"layer": 0}`` or ``{"sheet": 0}``."""


class OnPlane(NamedTuple):
    """A part of a picture, and the plane that it is drawn on.

    Attributes:
        layer: A layer, or a sheet.
        plane: Its picture's, or the sheet's canvas.
        poses: How many sheets lie over one another.
    """

    layer: AnyLayer
    plane: ImagePlane
    poses: int = 0


@dataclass
class PictureParts:
    """What an edited picture is made of, each part once.

    Attributes:
        layers: At rest.
        planes: Of the layers.
        sheets: What they read comes before them, with where that stands.
        shown: Where the picture's layers stand, from back to front; None where these are ``layers``.
    """

    layers: list[Layer] = field(default_factory=list)
    planes: list[ImagePlane] = field(default_factory=list)
    sheets: list[tuple[Sheet, Reference]] = field(default_factory=list)
    shown: list[Reference] | None = None
    _known: dict[Hashable, tuple[Reference, int]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, picture: BakedPicture) -> PictureParts:
        """Take a picture apart.

        Raises:
            GainerError: If it was edited too often, or its material has broken apart.
        """
        layers = [layer for layer in picture.layers if isinstance(layer, Layer)]
        if len(layers) == len(picture.layers):
            return cls(layers, [picture.plane] * len(layers))
        parts = cls()
        parts.shown = [parts._added(layer, picture.plane)[0] for layer in picture.layers]
        return parts

    def _added(self, one: AnyLayer, plane: ImagePlane) -> tuple[Reference, int]:
        """Return where a part stands, which may be there already, and how many sheets lie over one another."""
        if isinstance(one, Sheet):
            rest, poses = self._added(one.rest, one.plane)
            if poses == MAX_POSES:
                raise GainerError(
                    f"the picture cannot be stored: it was edited more than {MAX_POSES} times over; put the edits into "
                    "one script"
                )
            if not isinstance(one.rest_map, RestMap | None):
                raise GainerError(
                    "the picture cannot be stored: its material has broken apart, which no .safetensors holds; save it "
                    "as a picture, such as .png"
                )
            key = ("sheet", *rest.items(), one.canvas, *_sheet_key(one))
            if key not in self._known:
                self._known[key] = {"sheet": len(self.sheets)}, poses + 1
                self.sheets.append((one, rest))
            return self._known[key]
        key = ("layer", plane, *_layer_key(one))
        if key not in self._known:
            self._known[key] = {"layer": len(self.layers)}, 0
            self.layers.append(one)
            self.planes.append(plane)
        return self._known[key]


def _layer_key(layer: Layer) -> tuple[Hashable, ...]:
    """Return by what a layer is known, also where something else was made of the same tensors."""
    of_gaussians = (id(value) if isinstance(value, Tensor) else value for value in vars(layer.gaussians).values())
    return *of_gaussians, id(layer.decoder), layer.num_neighbours, layer.half_extent, layer.conversion


def _sheet_key(sheet: Sheet) -> tuple[Hashable, ...]:
    presence, rest_map = sheet.presence, sheet.rest_map
    of_presence = None if presence is None else (id(presence.field), presence.corner)
    if not isinstance(rest_map, RestMap):
        return of_presence, None
    grid = rest_map.grid
    of_grid = id(grid.nodes), id(grid.coefficients), grid.origin, grid.step
    return of_presence, of_grid, id(rest_map.present), id(rest_map.depths), rest_map.limits


def sheet_tensors(sheet: Sheet, rest: Reference, bits: Bits) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Encode a sheet: numbers for the header, with where it stands what the sheet reads, and tensors.

    ``bits`` are those of a feature channel: with fewer than 32, presence is stored as half floats, and nodes to the
    4096th of a pixel. The grid's coefficients are computed of its nodes again.
    """
    tensors: dict[str, Tensor] = {}
    header: dict[str, Any] = {"rest": rest, "canvas": [sheet.canvas.width, sheet.canvas.height]}
    if sheet.presence is not None:
        largest = MAX_STORED_NUMBER if bits == 32 else _MAX_HALF_PRESENCE
        presence = sheet.presence.field.clamp(-largest, largest)
        tensors["presence"] = presence if bits == 32 else presence.half()
        header["corner"] = sheet.presence.corner
    if isinstance(sheet.rest_map, RestMap):
        rest_map, grid = sheet.rest_map, sheet.rest_map.grid
        header |= {"origin": grid.origin, "step": grid.step, "limits": rest_map.limits}
        if bits == 32:
            tensors["nodes"] = grid.nodes
        else:
            tensors["node_changes"] = _changes((grid.nodes.detach().cpu() / _node_unit(sheet.canvas)).round())
        if rest_map.present is not None:
            tensors["present"] = torch.from_numpy(np.packbits(rest_map.present.cpu().numpy()))
        if rest_map.depths is not None:
            tensors["depths"] = rest_map.depths
    try:
        sheet_from(header, {name: value.detach().cpu() for name, value in tensors.items()}, _of(sheet))
    except ValueError as error:  # what is written can be read
        raise GainerError(f"the picture cannot be stored: {error}; undo the edit that made it") from error
    return header, tensors


def _of(sheet: Sheet) -> OnPlane:
    return OnPlane(sheet.rest, sheet.plane)


def posed_layers(
    header: Mapping[str, Any], tensors: Sequence[Mapping[str, Tensor]], layers: Sequence[OnPlane], plane: ImagePlane
) -> tuple[AnyLayer, ...]:
    """Decode the layers of an edited picture; anything raised here means that the file's parts do not fit together.

    Args:
        header: The file's.
        tensors: Of each sheet.
        layers: At rest.
        plane: The picture's.
    """
    found: dict[str, list[OnPlane]] = {"layer": list(layers), "sheet": []}
    for one, parts in zip(header["sheets"], tensors, strict=True):
        found["sheet"].append(sheet_from(one, parts, _chosen(one["rest"], found)))
    shown = [_chosen(one, found) for one in header["shown"]]
    if not shown or any(one.plane != plane for one in shown):
        raise ValueError("its layers are not those of a picture of this size")
    return tuple(one.layer for one in shown)


def _chosen(reference: Any, found: Mapping[str, Sequence[OnPlane]]) -> OnPlane:
    """Return what stands where a header says; sheets are read after what they refer to."""
    if not (isinstance(reference, dict) and len(reference) == 1):
        raise ValueError("it does not say what a part of it is made of")
    ((kind, number),) = reference.items()
    return found[kind][whole_number(number, len(found[kind]) - 1, least=0)]


def sheet_from(header: Mapping[str, Any], tensors: Mapping[str, Tensor], rest: OnPlane) -> OnPlane:
    """Decode a sheet that reads ``rest``; anything raised here means that the file's parts do not fit together."""
    if rest.poses >= MAX_POSES:
        raise ValueError(f"it was edited more than {MAX_POSES} times over")
    columns, rows = header["canvas"]
    canvas = checked_plane(columns, rows)
    rest_map = None
    if "nodes" in tensors:
        rest_map = _rest_map(header, tensors, tensors["nodes"].float())
    elif "node_changes" in tensors:
        rest_map = _rest_map(header, tensors, _nodes_of(tensors["node_changes"], canvas))
    if rest_map is None and canvas != rest.plane:
        raise ValueError("what lies as it did is of another size")
    presence = None
    if "presence" in tensors:
        values = tensors["presence"].float()
        if values.dim() != 2 or values.numel() == 0:
            raise ValueError("it does not say where a part of it is")
        check_sizes(values)
        left, top = (whole_number(side, _MAX_COLUMN, least=-_MAX_COLUMN) for side in header["corner"])
        presence = Presence(values, (left, top))
    return OnPlane(Sheet(rest.layer, rest.plane, canvas, rest_map, presence), canvas, rest.poses + 1)


def _node_unit(canvas: ImagePlane) -> float:
    """Return the unit, on the plane, in which nodes are stored as whole numbers."""
    return canvas.pixel_size / _NODE_UNITS_PER_PX


def _changes(nodes: Float[Tensor, "r c 2"]) -> Int[Tensor, "r c 2"]:
    """Return how whole numbers of units change from node to node, and these changes from row to row: few, and small.

    Raises:
        ValueError: If a node is beyond what the numbers hold.
    """
    if not bool((nodes.abs() < _MAX_NODE_UNITS).all()):
        raise ValueError("a part of it lies too far away")
    numbers = nodes.to(torch.int64).numpy()
    across = np.diff(numbers, axis=1, prepend=0)
    return torch.from_numpy(np.diff(across, axis=0, prepend=0).astype(np.int32))


def _nodes_of(changes: Int[Tensor, "r c 2"], canvas: ImagePlane) -> Float[Tensor, "r c 2"]:
    if changes.dtype != torch.int32 or changes.dim() != 3:
        raise ValueError("its nodes are no grid")
    return (changes.long().cumsum(0).cumsum(1).double() * _node_unit(canvas)).float()


def _rest_map(header: Mapping[str, Any], tensors: Mapping[str, Tensor], nodes: Float[Tensor, "r c 2"]) -> RestMap:
    if nodes.dim() != 3 or nodes.shape[2] != 2 or min(nodes.shape[:2]) < _MIN_NODES:
        raise ValueError("its nodes are no grid")
    check_sizes(nodes)
    step = _pair(header["step"])
    if min(abs(side) for side in step) < _MIN_STEP:
        raise ValueError("the steps of its grid make no sense")
    grid = ControlGrid.through(nodes.double(), _pair(header["origin"]), step)
    patches = nodes.shape[0] - 3, nodes.shape[1] - 3
    depths = tensors.get("depths")
    if depths is not None and tuple(depths.shape) != patches:
        raise ValueError("its depths do not fit its grid")
    check_sizes(depths)
    limits = header["limits"]
    if limits is not None:
        low, high = (_pair(corner) for corner in limits)
        if low[0] > high[0] or low[1] > high[1]:
            raise ValueError("its limits make no sense")
        limits = low, high
    present = None if "present" not in tensors else _unpacked(tensors["present"], patches)
    return RestMap(grid, present, None if depths is None else depths.float(), limits)


def _unpacked(bits: Int[Tensor, " b"], shape: tuple[int, int]) -> Bool[Tensor, "r c"]:
    count = math.prod(shape)
    if bits.dtype != torch.uint8 or tuple(bits.shape) != (-(-count // 8),):
        raise ValueError("its patches do not fit its grid")
    return torch.from_numpy(np.unpackbits(bits.numpy(), count=count)).view(shape).bool()


def _pair(values: Any) -> tuple[float, float]:
    """Return two numbers of a header."""
    first, second = (float(value) for value in values)
    if not (math.isfinite(first) and math.isfinite(second) and max(abs(first), abs(second)) <= MAX_STORED_NUMBER):
        raise ValueError("it holds numbers that are not finite, or too large")
    return first, second
