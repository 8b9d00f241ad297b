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

jump = {
    "edits": [
        {
            "select": {"disc": {"center": [0.4 * width, 0.6 * height], "radius": 0.15 * width}},
            "move": {"by": [0, -0.3 * height]},
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
