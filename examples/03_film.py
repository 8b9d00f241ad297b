"""Make a part of a picture jump, as a film and as frames.

python examples/03_film.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)
picture = gn.fit(photo)
width, height = picture.width, picture.height

x, y, radius = 0.4 * width, 0.38 * height, 0.107 * width  # a disc and a cone below it: a balloon
wide, narrow, top, bottom = 0.8 * radius, 0.2 * radius, y + 0.5 * radius, y + 1.28 * radius
cone = [[x - wide, top], [x + wide, top], [x + narrow, bottom], [x - narrow, bottom]]
jump = {
    "edits": [
        {
            "select": {"union": [{"disc": {"center": [x, y], "radius": radius}}, {"polygon": cone}]},
            "mode": "piece",  # cut out, not pulled out of the sheet
            "move": {"by": [0.25 * width, -0.1 * height]},
            "keyframes": {0: 0.0, 0.5: 1.0, 1: 0.0},  # how much of it there is, at times from 0 to 1
            "easing": "smooth",
        }
    ],
    "background": {"inpaint": "telea"},
    "frames": 8,
    "fps": 12,
}
film = picture.frames(jump)
film.save(results / "jump.mp4")
film.save(results / "jump.webp")  # with opacity, without loss
brightness = [float(frame.mean()) for frame in film]  # frames are arrays, drawn one by one
print(f"{len(film)} frames, of brightness {min(brightness):.1f} to {max(brightness):.1f}")
