"""Picture files of everyday formats: what a model's bytes are to be seen beside."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from gainer_ns.io.image_io import SourceImage

Codec = Literal["png", "jpeg", "webp"]
CODECS: tuple[Codec, ...] = get_args(Codec)
QUALITIES = (30, 50, 70, 80, 90, 95, 98, 100)
"""Of JPEG and WebP, by Pillow's scale."""
LOSSLESS = {"png": {"optimize": True}}
LOSSY = {"jpeg": {"subsampling": 0, "optimize": True}, "webp": {"method": 6}}
"""What makes files small and good: all colour kept, and time taken."""


def coded(source: SourceImage, codec: Codec) -> dict[str, Any]:
    """Return sizes and qualities of a picture's files, as the line of a benchmark."""
    import numpy as np
    import torch
    from PIL import Image

    from gainer_ns.metrics import compare

    colours = source.colours()
    image = Image.fromarray(np.rint(255 * colours).astype(np.uint8))
    choices = {100: LOSSLESS[codec]} if codec in LOSSLESS else {q: {"quality": q, **LOSSY[codec]} for q in QUALITIES}
    stored = {}
    for quality, options in choices.items():
        file = io.BytesIO()
        image.save(file, codec, **options)
        decoded = torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).float() / 255
        found = compare(decoded, colours)
        stored[str(quality)] = {
            "bytes": len(file.getvalue()),
            "psnr": found.psnr,
            "ms_ssim": found.ms_ssim,
            "exact_share": found.exact_share,
        }
    return {"width": source.width, "height": source.height, "stored": stored}
