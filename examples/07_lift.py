"""Lift a photo into space by its depth, and look at it from the side.

python examples/07_lift.py photo.png results
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)

width, height = Image.open(photo).size
y, x = np.mgrid[0:height, 0:width] / width
depth = 4 - 1.6 * y * width / height  # metres: nearer at the bottom; or a file of your own
near = np.hypot(x - 0.4, 0.8 * y - 0.34 * height / width) < 0.115
depth[near] = 2.6  # and a thing in front
lifted = gn.lift(photo, depth=depth, focal_length=1.2 * width)
lifted.save(results / "front.png")
turning = {"rotate": {"degrees": 10, "axis": "y"}, "keyframes": {0: -1, 0.5: 1, 1: -1}}  # what the thing hid is empty
film = lifted.frames({"edits": [turning], "frames": 8, "fps": 8})
film.save(results / "turning.webp")
