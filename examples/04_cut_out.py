"""Cut an object out by a mask, turn it, and lay it over a colour: opacity is fitted with the colours.

python examples/04_cut_out.py photo.png results
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)

colours = np.asarray(Image.open(photo).convert("RGB"))
height, width = colours.shape[:2]
y, x = np.mgrid[0:height, 0:width] + 0.5
radius = 0.15 * width
inside = np.clip(
    radius - np.hypot(x - 0.4 * width, y - 0.4 * height) + 0.5, 0, 1
)  # a soft-edged disc; or your own mask

cut_out = gn.fit(np.dstack([colours / 255, inside]))
turned = cut_out.edit({"edits": [{"rotate": {"degrees": 30}}], "background": {"color": [30, 60, 90]}})
turned.save(results / "turned.png")
clear = cut_out.edit({"rotate": {"degrees": 30}})  # nothing around it
clear.save(results / "turned_clear.webp", bit_depth=8)  # floats are kept as 16 bits, which only PNG holds
