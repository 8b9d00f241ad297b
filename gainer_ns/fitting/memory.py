"""How much memory a fit will take, and whether there is as much."""

from __future__ import annotations

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding
from gainer_ns.fitting.bands import BAND_PIXELS
from gainer_ns.memory import check_free

_BYTES_PER_BAND_PIXEL_AND_NEIGHBOUR = 44
"""Graph and its transpose while a band is made."""


def fit_bytes(pixels: int, gaussians: int, encoding: GaussianKNNEncoding, adam_steps: int) -> int:
    """Estimated peak memory of a fit in bytes, beside the program itself: up to half more than was measured.

    Args:
        pixels: Number of fitted pixels.
        gaussians: Number of Gaussians.
        encoding: Tells the number of neighbours and the length of features.
        adam_steps: Adam reads all pixels at once; the finish alone reads them in bands.
    """
    features, neighbours = encoding.feature_dim, encoding.config.num_neighbours
    everywhere = pixels * (4 * 3 * 4) + gaussians * (4 * 3 * features + 4 * 2 * 4)
    at_once = pixels if adam_steps > 0 else min(pixels, BAND_PIXELS)
    per_pixel = _BYTES_PER_BAND_PIXEL_AND_NEIGHBOUR * neighbours + 4 * (3 * features + 4 * features + 40)
    if adam_steps > 0:
        per_pixel += 4 * 10 * features + 4 * 6 * 64  # what autograd keeps of the encoding and of the decoder
        if encoding.precision_factors.requires_grad:
            per_pixel += 4 * neighbours * 24
    return everywhere + at_once * per_pixel


def check_memory(pixels: int, gaussians: int, encoding: GaussianKNNEncoding, adam_steps: int) -> None:
    """Refuses a fit that this machine has no memory for.

    Raises:
        GainerError: If the estimate exceeds what is free.
    """
    if encoding.means.is_cuda:
        return  # torch says so itself, at once, and nothing is swapped
    check_free(
        fit_bytes(pixels, gaussians, encoding, adam_steps),
        f"fitting {pixels / 1e6:.1f} megapixels",
        "reduce the picture with --pipeline.datamanager.dataparser.downscale-factor 2, or lower "
        "--pipeline.model.gaussians-per-pixel",
    )
