"""Masks without a click: what stands out in a picture, found by a network in an ONNX file.

Networks of salient objects and of mattes (U2-Net, IS-Net, BiRefNet, RMBG, MODNet ...) are passed around as ONNX files:
a picture goes in, [1, 3, h, w], and how much each pixel belongs to the object comes out first, [1, 1, h, w].
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from scipy import ndimage, special

from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import Normalisation, PreparationError
from gainer_ns.preparation.networks import SEGMENTATION
from gainer_ns.preparation.offers import Offers
from gainer_ns.preparation.prompts import Prompt

_NORMALISATIONS: dict[Normalisation, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "centred": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
    "symmetric": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""What is subtracted from colours in [0, 1], and what they are divided by then."""

_FREE_SIDE = 1024
"""Side of the copy that a network sees which takes any size, in pixels."""

_LEAST_ANSWER = 0.3
"""Where no pixel reaches it, there is no object; else answers are stretched to reach from 0 to 1, as is usual."""


def picture_network(path: Path) -> Any:
    """Return onnxruntime's session of a network that takes one picture, float [1, 3, h, w].

    Raises:
        GainerError: onnxruntime is missing, or the file is no such network.
    """
    if not path.is_file():
        raise GainerError(f"{path}: does not exist; check the spelling")
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise GainerError(f'{path}: onnxruntime is not installed; run `pip install "gainer-ns[onnx]"`') from error
    try:
        session: Any = onnxruntime.InferenceSession(str(path), providers=onnxruntime.get_available_providers())
    except Exception as error:  # Other files, cut ones, operators that it does not know: each has its own.
        reason = " ".join(str(error).split())[:160]
        raise GainerError(f"{path}: cannot be read as an ONNX network ({reason}); fetch it again") from error
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or shape[1] not in (3, "3") or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{one.name} {one.type} {one.shape}" for one in inputs)
        raise GainerError(f"{path}: takes {found}; name a network that takes one picture, float [1, 3, h, w]")
    return session


class OnnxSegmenter:
    """Finds the object of a picture by a network in an ONNX file; see ``Segmenter``.

    A prompt may be empty. A box is what the network sees; of what it finds, only parts with a click are kept, and
    none with a negative click.

    Args:
        path: The file.
        normalisation: How the network was trained to see colours.

    Raises:
        GainerError: onnxruntime is missing, or the file is no such network.
    """

    def __init__(self, path: Path, normalisation: Normalisation = "imagenet") -> None:
        self._path, self._session = path, picture_network(path)
        (picture,) = self._session.get_inputs()
        self._input = picture.name
        self._size = tuple(side if isinstance(side, int) and side > 0 else _FREE_SIDE for side in picture.shape[2:])
        self._mean, self._deviation = (np.array(one, np.float32) for one in _NORMALISATIONS[normalisation])

    def __call__(self, colours: Float[np.ndarray, "h w 3"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
        """Make a mask; see ``Segmenter``."""
        height, width = colours.shape[:2]
        prompt.check(width, height, may_be_empty=True)
        x0, y0, x1, y1 = prompt.box or (0, 0, width, height)
        seen = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
        mask = np.zeros((height, width), np.float32)
        mask[seen] = self._answer(np.nan_to_num(colours[seen]).astype(np.float32))
        return _chosen(mask, prompt)

    def offers(self, colours: Float[np.ndarray, "h w 3"], click: tuple[float, float]) -> Offers:
        """Return the part that was clicked on, and all that was found; see ``Proposer``."""
        Prompt((click,)).check(colours.shape[1], colours.shape[0])
        found = self(colours, Prompt())
        part = _chosen(found, Prompt((click,)))
        masks = [found] if not part.any() or np.array_equal(part, found) else [part, found]
        return Offers([partial(np.copy, mask) for mask in masks], 0)

    def _answer(self, colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
        """Return how much each pixel belongs to the object, in [0, 1]."""
        height, width = colours.shape[:2]
        rows, columns = self._size
        shrinks = rows * columns < height * width
        small = cv2.resize(colours, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        pixels = ((small - self._mean) / self._deviation).transpose(2, 0, 1)[None].astype(np.float32)
        with SEGMENTATION.one_line(str(self._path)):
            answer = np.asarray(self._session.run(None, {self._input: pixels})[0], np.float32)
        if answer.ndim < 2 or answer[..., 0, 0].size != 1 or not np.isfinite(answer).all():
            raise PreparationError(
                f"{self._path}: answers with {list(answer.shape)}, or with what is no number; name a network that "
                "answers with one mask, or give a mask file",
                "mask-path FILE",
            )
        answer = answer.reshape(answer.shape[-2:])
        if answer.min() < -1e-3 or answer.max() > 1 + 1e-3:  # logits
            answer = special.expit(answer)
        if answer.max() < _LEAST_ANSWER:
            return np.zeros((height, width), np.float32)
        answer = (answer - answer.min()) / max(float(np.ptp(answer)), 1e-6)
        return cv2.resize(answer, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)


def _chosen(mask: Float[np.ndarray, "h w"], prompt: Prompt) -> Float[np.ndarray, "h w"]:
    """Return the parts of a mask that clicks choose; all of it where there are none.

    What is soft belongs to the nearest part.
    """
    if not (prompt.clicks or prompt.negative_clicks) or not (mask >= 0.5).any():
        return mask
    height, width = mask.shape
    parts, _ = ndimage.label(mask >= 0.5, np.ones((3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
    nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    parts = parts[tuple(nearest)]  # pyright: ignore[reportArgumentType]

    def hit(points: tuple[tuple[float, float], ...]) -> set[int]:
        places = [(min(int(y), height - 1), min(int(x), width - 1)) for x, y in points]
        return {int(parts[place]) for place in places if mask[place] >= 0.5}

    kept = (hit(prompt.clicks) if prompt.clicks else set(np.unique(parts).tolist())) - hit(prompt.negative_clicks)
    return np.where(np.isin(parts, list(kept)), mask, np.float32(0))
