"""Let a part of a picture fall and wobble on the floor.

python examples/06_simulate.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)
picture = gn.fit(photo)

ratio = picture.height / picture.width
x, y, radius = 0.4, 0.38 * ratio, 0.107  # a disc and a cone below it: a balloon
wide, narrow, top, bottom = 0.8 * radius, 0.2 * radius, y + 0.5 * radius, y + 1.28 * radius
cone = [[x - wide, top], [x + wide, top], [x + narrow, bottom], [x - narrow, bottom]]
balloon = {"union": [{"disc": {"center": [x, y], "radius": radius}}, {"polygon": cone}]}
fall = picture.simulate(
    {  # lengths are in widths of the picture, times in seconds
        "bodies": [{"material": "soft", "select": balloon, "velocity": [0.3, 0]}],
        "colliders": [{"floor": {"top": 0.9 * ratio}}],
        "canvas": [0, 0, 1, ratio],
        "background": {"inpaint": "telea"},
        "duration": 0.6,
        "fps": 15,
    },
    particles=1500,
)
fall.save(results / "fall.mp4")
print(f"{len(fall)} frames at {fall.fps:g} a second")
