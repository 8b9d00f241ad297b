"""Fill a hole in a picture with what could be there: OpenCV's methods, LaMa, or a diffusers model.

Every inpainter leaves the known pixels as they are, bit by bit, and looks only at the surroundings of the hole.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.errors import GainerError

InpaintMethod = Literal["telea", "navier-stokes"]

_METHODS: dict[str, int] = {"telea": cv2.INPAINT_TELEA, "navier-stokes": cv2.INPAINT_NS}

_CHOICES = "telea, navier-stokes, {lama: big-lama.pt} or {diffusers: a model's folder or id, prompt: words}"

_NETWORK_VIEW = 512
"""Pixels a side that networks are shown at least, where the picture has them: about what they were trained on."""


Inpainter = Callable[[Float[Tensor, "h w 3"], Bool[Tensor, "h w"]], Float[Tensor, "h w 3"]]
"""Fills a hole in a picture: takes colours in [0, 1], whatever they hold inside the hole, and where it is; returns
the colours with the hole filled, on the same device. GainerError: nothing is known outside of the hole."""


def inpainter_for(spec: str | Mapping[str, Any], *, device: torch.device | str = "cpu") -> Inpainter:
    """Load the inpainter that a script asks for.

    Args:
        spec: "telea" or "navier-stokes", {"lama": path} or {"diffusers": folder or id, "prompt": words, "seed": 0}.
        device: Where a network runs.

    Raises:
        GainerError: There is no such inpainter, or its model cannot be loaded.
    """
    if isinstance(spec, str) and spec in _METHODS:
        return OpenCVInpainter(spec)  # pyright: ignore[reportArgumentType]
    if isinstance(spec, Mapping) and set(spec) == {"lama"} and isinstance(spec["lama"], (str, Path)):
        return LamaInpainter(Path(spec["lama"]), device=device)
    if isinstance(spec, Mapping) and "diffusers" in spec and set(spec) <= {"diffusers", "prompt", "seed"}:
        name, prompt, seed = spec["diffusers"], spec.get("prompt", ""), spec.get("seed", 0)
        if isinstance(name, (str, Path)) and isinstance(prompt, str) and isinstance(seed, int):
            return DiffusersInpainter(str(name), prompt=prompt, seed=seed, device=device)
    raise GainerError(f"inpaint: {spec} is no inpainter; choose {_CHOICES}")


class OpenCVInpainter:
    """Continues the surroundings smoothly into the hole: quick, without a model, best for narrow holes.

    "telea" marches inwards from the border (Telea, An Image Inpainting Technique Based on the Fast Marching Method,
    2004); "navier-stokes" continues lines of equal brightness (Bertalmio et al., Navier-Stokes, Fluid Dynamics, and
    Image and Video Inpainting, 2001).

    Args:
        method: One of the two.
        radius: How far around a pixel known colours are read, in pixels.
    """

    def __init__(self, method: InpaintMethod = "telea", *, radius: int = 4) -> None:
        if method not in _METHODS:
            raise GainerError(f"inpaint: {method} is no method of OpenCV's; choose telea or navier-stokes")
        self.method = method
        self.radius = radius

    def __call__(self, colours: Float[Tensor, "h w 3"], hole: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
        """Fill a hole; see ``Inpainter``. Each part of it is filled by itself, in steps of 1/65535."""
        _check_hole(colours, hole)
        filled = colours.detach().cpu().numpy().copy()
        # OpenCV's 16-bit samples: its 8-bit ones are coarse, its floats wrong by 0.5 and more (Telea).
        samples = np.rint(np.clip(np.nan_to_num(filled), 0.0, 1.0) * 65535).astype(np.uint16)
        mask = hole.cpu().numpy().astype(np.uint8)
        for rows, columns, part in _parts(mask, reach=self.radius + 1):
            for channel in range(3):
                around = np.ascontiguousarray(samples[rows, columns, channel])
                values = cv2.inpaint(around, mask[rows, columns], self.radius, _METHODS[self.method])
                filled[rows, columns, channel][part] = values[part] / 65535.0
        return torch.from_numpy(filled).to(colours)


class LamaInpainter:
    """LaMa (Suvorov et al., Resolution-robust Large Mask Inpainting with Fourier Convolutions, 2022), for large holes.

    Args:
        path: A TorchScript file, big-lama.pt: it takes an image [1, 3, h, w] in [0, 1] and a mask [1, 1, h, w].
        device: Where it runs.
    """

    def __init__(self, path: Path, *, device: torch.device | str = "cpu") -> None:
        if not path.is_file():
            raise GainerError(f"{path}: is no file; give the path of big-lama.pt, LaMa as TorchScript")
        try:
            self._network = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise GainerError(f"{path}: is no TorchScript file; give the path of big-lama.pt") from error
        self._path = path
        self._device = device

    def __call__(self, colours: Float[Tensor, "h w 3"], hole: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
        """Fill a hole; see ``Inpainter``."""
        return _filled_by_network(colours, hole, self._fill, str(self._path))

    @torch.inference_mode()
    def _fill(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        tensors = [
            torch.from_numpy(image).permute(2, 0, 1)[None].to(self._device),
            torch.from_numpy(mask)[None, None].float().to(self._device),
        ]
        return self._network(*tensors)[0].permute(1, 2, 0).float().cpu().numpy()


class DiffusersInpainter:
    """An inpainting pipeline of diffusers. Only the model that is named is ever fetched.

    Args:
        name: A folder with a model, or a model's id on the hub.
        prompt: What to draw.
        seed: Of the noise that it starts from.
        device: Where it runs.

    Raises:
        GainerError: diffusers is not installed, or it cannot load the model.
    """

    def __init__(self, name: str, *, prompt: str = "", seed: int = 0, device: torch.device | str = "cpu") -> None:
        try:
            diffusers = importlib.import_module("diffusers")
        except ImportError as error:
            raise GainerError(
                "inpaint: diffusers is not installed; run `pip install diffusers transformers accelerate`"
            ) from error
        try:
            is_folder = Path(name).is_dir()
            pipeline = diffusers.AutoPipelineForInpainting.from_pretrained(name, local_files_only=is_folder)
        except Exception as error:  # Missing files, no network, other kinds of model: each raises its own.
            reason = " ".join(str(error).split())[:200]
            raise GainerError(f"{name}: is no inpainting model that diffusers can load ({reason})") from error
        pipeline.set_progress_bar_config(disable=True)
        self._pipeline = pipeline.to(device)
        self._name, self._prompt, self._seed = name, prompt, seed

    def __call__(self, colours: Float[Tensor, "h w 3"], hole: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
        """Fill a hole; see ``Inpainter``."""
        return _filled_by_network(colours, hole, self._fill, self._name)

    def _fill(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        from PIL import Image

        height, width = mask.shape
        drawn = self._pipeline(
            prompt=self._prompt,
            image=Image.fromarray(np.rint(image * 255).astype(np.uint8)),
            mask_image=Image.fromarray(mask.astype(np.uint8) * 255),
            height=height,
            width=width,
            generator=torch.Generator("cpu").manual_seed(self._seed),
            output_type="np",
        ).images[0]
        return np.asarray(drawn, np.float32)


def _check_hole(colours: Tensor, hole: Tensor) -> None:
    """Refuse a hole without surroundings."""
    if hole.shape != colours.shape[:2]:
        raise ValueError(f"a hole of {tuple(hole.shape)} does not fit a picture of {tuple(colours.shape)}")
    if bool(hole.all()):
        raise GainerError("inpaint: the hole is the whole picture; select less, or choose a colour or an image behind")


def _parts(mask: np.ndarray, reach: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Return the parts of a hole that are too far apart to see each other's pixels.

    Args:
        mask: uint8 [h, w], 1 in the hole.
        reach: How far a pixel sees, in pixels.

    Yields:
        Rows and columns of a part with what it sees, and bool: which pixels of these belong to it.
    """
    size = 2 * reach + 1
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask, np.ones((size, size), np.uint8)))
    for label in range(1, count):
        left, top, width, height = (int(value) for value in boxes[label, :4])
        # The box of the widened part has `reach` to spare; a little more, because OpenCV's own border is not read.
        rows = slice(max(0, top - 2), top + height + 2)
        columns = slice(max(0, left - 2), left + width + 2)
        yield rows, columns, (labels[rows, columns] == label) & (mask[rows, columns] > 0)


def _filled_by_network(
    colours: Float[Tensor, "h w 3"],
    hole: Bool[Tensor, "h w"],
    fill: Callable[[np.ndarray, np.ndarray], np.ndarray],
    name: str,
) -> Float[Tensor, "h w 3"]:
    """Show a network the hole with as much around it as it is large, in multiples of 8 pixels.

    Args:
        colours: The picture.
        hole: True where it is unknown.
        fill: Takes float32 [h, w, 3] in [0, 1] and bool [h, w], and returns float32 [h, w, 3].
        name: What complaints call the network.
    """
    _check_hole(colours, hole)
    if not bool(hole.any()):
        return colours.clone()
    mask = hole.cpu().numpy()
    rows, columns = (_view(mask.any(axis=axis)) for axis in (1, 0))
    known = ~mask[rows, columns, None]
    image = np.where(known, colours.detach().float().cpu().numpy()[rows, columns], 0.5).clip(0.0, 1.0)
    height, width = image.shape[:2]
    widths = ((0, -height % 8), (0, -width % 8))
    padded = np.pad(image, (*widths, (0, 0)), mode="symmetric"), np.pad(~known[..., 0], widths, mode="symmetric")
    try:
        drawn = fill(np.ascontiguousarray(padded[0]), np.ascontiguousarray(padded[1]))
    except RuntimeError as error:  # Another network in the file, or no memory left.
        reason = " ".join(str(error).split())[-200:]
        raise GainerError(f"{name}: could not fill the hole ({reason}); choose telea, or another model") from error
    if drawn.shape != padded[0].shape or not np.isfinite(drawn).all():
        raise GainerError(f"{name}: answered with no picture of the size it was given; choose telea, or another model")
    filled = colours.clone()
    where = hole[rows, columns]
    filled[rows, columns][where] = torch.from_numpy(drawn[:height, :width].clip(0.0, 1.0)).to(colours)[where]
    return filled


def _view(occupied: np.ndarray) -> slice:
    """Return what to look at along one axis, from bools [n] that tell where the hole is."""
    first, last = np.flatnonzero(occupied)[[0, -1]]
    length = int(last + 1 - first)
    margin = max(length, (_NETWORK_VIEW - length + 1) // 2)
    return slice(max(0, int(first) - margin), min(len(occupied), int(last) + 1 + margin))
