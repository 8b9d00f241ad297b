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
depth = 2 + 0.5 * np.mgrid[0:height, 0:width][1] / width  # metres: a wall seen askew; or a file of your own
lifted = gn.lift(photo, depth=depth, focal_length=1.2 * width)
lifted.save(results / "front.png")
film = lifted.frames({"edits": [{"rotate": {"degrees": 20}}], "frames": 4, "fps": 8})
film.save(results / "turning.webp")
