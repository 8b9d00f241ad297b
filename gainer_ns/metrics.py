"""Compare two pictures in numbers.

Pictures are float arrays or tensors with colours last, black at 0 and white at 1. A mask is boolean, of the picture's
shape without the channels, and True at the pixels that count. Sums are float64 (a fit of 100 dB is wrong by 1e-5, where
float32 sums lie), on the first picture's device. Every function raises GainerError where shapes differ, colours are not
floats, or nothing is left to compare.
"""

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gainer_ns.errors import GainerError

_logger = logging.getLogger(__name__)

ColourArray: TypeAlias = Float[np.ndarray, "*pixels c"] | Float[Tensor, "*pixels c"]
ImageArray: TypeAlias = Float[np.ndarray, "h w c"] | Float[Tensor, "h w c"]
MaskArray: TypeAlias = Bool[np.ndarray, "*pixels"] | Bool[Tensor, "*pixels"]

_MS_SSIM_WINDOW_PX = 11
"""Width in px of the Gaussian window that the authors of (MS-)SSIM use."""
_MS_SSIM_SIGMA_PX = 1.5
"""Standard deviation in px of that window."""
_MS_SSIM_HALVINGS = 4
"""How often MS-SSIM halves a picture; the window has to fit into the smallest."""
_MIN_LPIPS_SIDE_PX = 31
"""Side in px below which AlexNet's second pooling has nothing left to pool."""


class PictureMetrics(NamedTuple):
    """The measures of :func:`compare`; None where one is not defined or its weights are not on this machine."""

    psnr: float
    """Peak signal-to-noise ratio in dB, on the clamped float colours; inf when equal."""
    psnr_8bit: float
    """The same in dB between the two 8-bit files that the pictures would be stored as."""
    exact_share: float
    """Share, 0 to 1, of the pixels that are equal in every channel of those 8-bit files."""
    ms_ssim: float | None
    """Multi-scale structural similarity, 1 when equal."""
    lpips: float | None
    """Learned perceptual distance (AlexNet), 0 when equal."""


def compare(rendered: ImageArray, target: ImageArray, mask: MaskArray | None = None) -> PictureMetrics:
    """Compare a rendered picture [h, w, 3] with its target, both clamped to [0, 1] as on a screen.

    With a mask MS-SSIM and LPIPS are None: their windows would see the hole.
    """
    a, b = float64_pair(rendered, target)
    a, b = a.clamp(0, 1), b.clamp(0, 1)
    return PictureMetrics(
        psnr=psnr(a, b, mask=mask),
        psnr_8bit=psnr_8bit(a, b, mask=mask),
        exact_share=exact_share(a, b, mask=mask),
        ms_ssim=ms_ssim(a, b) if mask is None else None,
        lpips=lpips(a, b) if mask is None and a.shape[-1] == 3 else None,
    )


def psnr(a: ColourArray, b: ColourArray, *, mask: MaskArray | None = None) -> float:
    """Return the peak signal-to-noise ratio in dB for a peak of 1; inf when equal.

    The mean is over counted pixels and channels; nothing is clamped or rounded; nan where a counted colour is not a
    number.
    """
    return _decibels(*_counted(a, b, mask))


def psnr_8bit(a: ColourArray, b: ColourArray, *, mask: MaskArray | None = None) -> float:
    """Return the PSNR in dB between the 8-bit files: both sides clamped to [0, 1] and rounded to 255 steps first."""
    first, second = _counted(a, b, mask)
    return _decibels(_levels(first, 255) / 255, _levels(second, 255) / 255)


def exact_share(a: ColourArray, b: ColourArray, max_value: int = 255, *, mask: MaskArray | None = None) -> float:
    """Return the share, 0 to 1, of pixels whose every channel is stored as the same integer of 0 to ``max_value``.

    A colour that is not a number equals nothing.
    """
    first, second = _counted(a, b, mask)
    same = (_levels(first, max_value) == _levels(second, max_value)).all(dim=-1)
    return same.double().mean().item()


def ms_ssim_window(height: int, width: int) -> int | None:
    """Return the width in px of the window of :func:`ms_ssim`.

    It is the largest odd one that fits the smallest scale: 11 above 160 px of the shorter side, 9 above 128, 7 above
    96, 5 above 64, 3 above 32, and None up to 32.
    """
    shorter = min(height, width)
    fitting = (w for w in range(_MS_SSIM_WINDOW_PX, 2, -2) if (w - 1) * 2**_MS_SSIM_HALVINGS < shorter)
    return next(fitting, None)


def ms_ssim(a: ImageArray, b: ImageArray) -> float | None:
    """Return the multi-scale structural similarity over five scales, mean over the channels; 1 when equal.

    Small pictures get the window of :func:`ms_ssim_window`, its standard deviation reduced alike: such numbers compare
    methods on one picture, but not with those of larger pictures. None where the shorter side is 32 px or less.

    Source:
        Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment", 2003.
    """
    from pytorch_msssim import ms_ssim as measure  # here, so that importing this module stays light

    first, second = float64_pair(a, b)
    width = ms_ssim_window(*first.shape[:2])
    if width is None:
        return None
    window = _gaussian(width).to(first.device).expand(first.shape[-1], 1, 1, width)
    return measure(_batch(first), _batch(second), data_range=1.0, win=window).item()


def lpips(a: ImageArray, b: ImageArray) -> float | None:
    """Return the learned perceptual distance of two pictures [h, w, 3] by AlexNet's features; 0 when equal.

    Nothing is downloaded: without AlexNet's weights in torch hub's cache, or below 31 px a side, the result is None.

    Raises:
        GainerError: Also where there are not three channels, or the file of weights is damaged.

    Source:
        Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018.
    """
    first, second = float64_pair(a, b)
    if first.ndim != 3 or first.shape[-1] != 3:
        raise GainerError(f"LPIPS compares pictures [h, w, 3], but these are {list(first.shape)}: drop alpha first")
    weights = lpips_weights()
    if not weights.is_file():
        _logger.info("No LPIPS: %s is not there, and nothing is downloaded here", weights)
        return None
    if min(first.shape[:2]) < _MIN_LPIPS_SIDE_PX:
        return None
    network = _lpips_network(str(weights), str(first.device))
    with torch.no_grad():
        distance = network(_batch(first).float().clamp(0, 1), _batch(second).float().clamp(0, 1)).item()
    network.reset()
    return distance


def lpips_weights() -> Path:
    """Return where torchvision would find AlexNet's weights: put the file there to have :func:`lpips`."""
    from torchvision.models import AlexNet_Weights

    return Path(torch.hub.get_dir()) / "checkpoints" / AlexNet_Weights.DEFAULT.url.rsplit("/", 1)[-1]


@lru_cache(maxsize=2)
def _lpips_network(weights: str, device: str) -> Any:
    """Build the network from a file that is known to exist, once for each file and device."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    try:
        network = LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    except Exception as error:  # torch.load and load_state_dict raise a dozen types for a damaged file
        raise GainerError(f"{weights} does not hold AlexNet's weights ({error}): remove or replace it") from error
    return network.to(device)


def float64_pair(a: ColourArray, b: ColourArray) -> tuple[Tensor, Tensor]:
    """Return two pictures as detached float64 tensors on the first one's device."""
    first = _as_float64(a)
    second = _as_float64(b).to(first.device)
    if first.shape != second.shape:
        raise GainerError(f"Pictures of shapes {list(first.shape)} and {list(second.shape)} differ in size: crop one")
    return first, second


def as_mask(mask: MaskArray, shape: tuple[int, ...]) -> Tensor:
    """Return a mask as a boolean tensor of the given shape."""
    keep = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask, order="C"))
    if keep.dtype != torch.bool or tuple(keep.shape) != shape:
        raise GainerError(f"The mask has to be boolean {list(shape)}, but is {keep.dtype} {list(keep.shape)}")
    return keep


def _counted(a: ColourArray, b: ColourArray, mask: MaskArray | None) -> tuple[Tensor, Tensor]:
    """Return the counted pixels of both pictures, [m, c] each."""
    first, second = float64_pair(a, b)
    first, second = first.reshape(-1, first.shape[-1]), second.reshape(-1, first.shape[-1])
    if mask is not None:
        keep = as_mask(mask, tuple(a.shape[:-1])).reshape(-1).to(first.device)
        first, second = first[keep], second[keep]
    if first.numel() == 0:
        raise GainerError("There is no pixel to compare: the picture or the mask is empty")
    return first, second


def _as_float64(picture: ColourArray) -> Tensor:
    """Return colours in float64, detached; refuse integers, whose scale nobody stated."""
    colours = picture.detach() if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture, order="C"))
    if not colours.is_floating_point():
        raise GainerError(f"Colours are floats from 0 to 1, not {colours.dtype}: divide by the largest stored value")
    return colours.double()


def _decibels(a: Tensor, b: Tensor) -> float:
    """Return the PSNR in dB of float64 values with a peak of 1."""
    return (-10 * torch.log10((a - b).square().mean())).item()


def _levels(colours: Tensor, max_value: int) -> Tensor:
    """Round colours to the integers 0 to max_value, in float64 so that nan stays nan."""
    return (colours.clamp(0, 1) * max_value).round()


def _gaussian(width: int) -> Tensor:
    """Return MS-SSIM's window in float64, sum 1; the library's own float32 one costs the result four digits."""
    place = torch.arange(width, dtype=torch.float64) - width // 2
    return torch.softmax(-0.5 * (place * _MS_SSIM_WINDOW_PX / (_MS_SSIM_SIGMA_PX * width)).square(), dim=0)


def _batch(picture: Tensor) -> Tensor:
    """Turn [h, w, c] into [1, c, h, w]."""
    return picture.permute(2, 0, 1)[None]
