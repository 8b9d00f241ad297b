"""What a matted mask cuts out of a picture: the soft edge that the picture shows, and each side in its own colours."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import cast

import numpy as np
import torch

from gainer_ns.editing.pieces import Piece
from gainer_ns.editing.rest_picture import RestPicture
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.shapes import MaskField
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.preparation.matting import estimate_alpha, estimate_colours
from gainer_ns.recipes import GAINER
from gainer_ns.rendering.layer import Layer
from gainer_ns.rendering.plane import BakedPicture

_KEPT_MATTES = 4
_mattes: OrderedDict[bytes, MaskField] = OrderedDict()
"""Soft edges found last, by what they were found of: scripts that a hand changes ask again and again."""


def settle_matte(selection: Selection, picture: BakedPicture) -> None:
    """Give a matted selection the soft edge that its picture shows.

    Args:
        selection: One with ``matte``; from now on its mask is the soft one.
        picture: What is selected from, as it was fitted.

    Raises:
        GainerError: pymatting is not installed.
    """
    colours = np.ascontiguousarray(picture.raster()[0].cpu().numpy().clip(0, 1))
    painted = selection.painted.values
    said = repr((painted.shape, selection.matte_width)).encode()
    key = hashlib.blake2b(said + painted.tobytes() + colours.tobytes()).digest()
    if key not in _mattes:
        _mattes[key] = MaskField(estimate_alpha(colours, painted, selection.matte_width))
    _mattes.move_to_end(key)
    while len(_mattes) > _KEPT_MATTES:
        _mattes.popitem(last=False)
    selection.settle(_mattes[key])


def take_own_colours(left: Piece, taken: Piece, selection: Selection) -> None:
    """Give both parts of what a matted selection has cut layers with their own colours, along the edge between them.

    What was posed before it was cut keeps the colours that it has.

    Args:
        left: What the selection leaves: it gets the background's colours.
        taken: What it takes: it gets the object's.
        selection: With its soft edge settled.
    """
    if not isinstance(left.rest.layer, Layer):
        return
    rest, layer = left.rest, left.rest.layer
    rgb, alpha = BakedPicture(rest.plane, (layer,)).raster()
    own = estimate_colours(np.ascontiguousarray(rgb.cpu().numpy().clip(0, 1)), selection.settled.values)
    opacity = alpha[..., 0] if layer.has_alpha and bool((alpha < 1).any()) else None
    for piece, colours in ((taken, own.front), (left, own.back)):
        fitted, _ = fit_layer(torch.from_numpy(colours), opacity, *GAINER, device=layer.device)
        piece.rest = RestPicture(cast(Layer, fitted).sampled(layer.way, rest.plane), rest.plane)
        piece.rest.box = rest.box
