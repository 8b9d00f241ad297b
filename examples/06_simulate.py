"""Let a part of a picture fall and wobble on the floor.

python examples/06_simulate.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)
picture = gn.fit(photo)

fall = picture.simulate(
    {  # lengths are in widths of the picture, times in seconds
        "bodies": [{"material": "soft", "select": {"disc": {"center": [0.5, 0.25], "radius": 0.15}}}],
        "colliders": [{"floor": {}}],
        "background": {"inpaint": "telea"},
        "duration": 0.4,
        "fps": 15,
    },
    particles=1500,
)
fall.save(results / "fall.mp4")
print(f"{len(fall)} frames at {fall.fps:g} a second")
