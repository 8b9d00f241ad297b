"""Estimate how much memory a fit will take, and refuse it where there is less."""

from __future__ import annotations

from gainer_ns.fields.knn_encoding import GaussianKNNEncoding
from gainer_ns.fitting.bands import BAND_PIXELS
from gainer_ns.memory import check_free

_BYTES_PER_BAND_PIXEL_AND_NEIGHBOUR = 44
"""Of the graph and its transpose while a band is made."""


def fit_bytes(pixels: int, encoding: GaussianKNNEncoding, adam_steps: int) -> int:
    """Estimate the peak memory of a fit in bytes, beside the program itself: up to half more than was measured.

    Adam reads all fitted pixels at once; Gauss-Newton steps alone read them in bands.
    """
    features, neighbours = encoding.feature_dim, encoding.config.num_neighbours
    everywhere = pixels * (4 * 3 * 4) + len(encoding) * (4 * 3 * features + 4 * 2 * 4)
    at_once = pixels if adam_steps > 0 else min(pixels, BAND_PIXELS)
    per_pixel = _BYTES_PER_BAND_PIXEL_AND_NEIGHBOUR * neighbours + 4 * (3 * features + 4 * features + 40)
    if adam_steps > 0:
        per_pixel += 4 * 10 * features + 4 * 6 * 64  # what autograd keeps of the encoding and of the decoder
        if encoding.precision_factors.requires_grad:
            per_pixel += 4 * neighbours * 24
    return everywhere + at_once * per_pixel


def check_memory(pixels: int, encoding: GaussianKNNEncoding, adam_steps: int, remedy: str) -> None:
    """Refuse a fit that this machine has no memory for, with a remedy.

    Raises:
        GainerError: If the estimate exceeds what is free.
    """
    if not encoding.means.is_cuda:  # where torch says so itself, at once, and nothing is swapped
        check_free(fit_bytes(pixels, encoding, adam_steps), f"fitting {pixels / 1e6:.1f} megapixels", remedy)
