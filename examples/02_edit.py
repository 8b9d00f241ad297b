"""Bend a picture, and move a part of it over a painted background.

python examples/02_edit.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)
picture = gn.fit(photo)
width, height = picture.width, picture.height

middle = [[0.2 * width, 0.5 * height], [0.8 * width, 0.5 * height]]
picture.edit({"bend": {"degrees": 40, "axis": middle}}).save(results / "bent.png")

x, y, radius = 0.4 * width, 0.38 * height, 0.107 * width  # a disc and a cone below it: a balloon
wide, narrow, top, bottom = 0.8 * radius, 0.2 * radius, y + 0.5 * radius, y + 1.28 * radius
cone = [[x - wide, top], [x + wide, top], [x + narrow, bottom], [x - narrow, bottom]]
part = {"union": [{"disc": {"center": [x, y], "radius": radius}}, {"polygon": cone}]}
moved = picture.edit(
    {
        "edits": [{"select": part, "mode": "piece", "move": {"by": [0.28 * width, 0.14 * height]}}],
        "background": {"inpaint": "telea"},  # paints what was behind
    }
)
moved.save(results / "moved.png")

soft = {**part, "feather": 0.2 * width}  # what is around follows
picture.edit({"select": soft, "scale": {"factor": 1.3}}).save(results / "larger.png")
