"""Fit a picture, draw it larger, and keep it in a file.

python examples/01_fit.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)

picture = gn.fit(photo, progress=lambda share: print(f"fitted to {share:.0%}"))
print(f"{picture}: {picture.psnr:.1f} dB from the photo")

picture.save(results / "double.png", scale=2)
left, top = round(0.28 * picture.width), round(0.2 * picture.height)
crop = (left, top, left + picture.width // 4, top + picture.height // 4)  # left, top, right and bottom in pixels
picture.save(results / "detail.png", scale=4, crop=crop)
picture.save(results / "picture.safetensors")  # all that drawing needs; gn.load reads it
