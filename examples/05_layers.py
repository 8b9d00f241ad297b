"""Lay one fitted picture over another, and move both.

python examples/05_layers.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)
picture = gn.fit(photo)
gn.fit(photo, downscale=2).save(results / "small.safetensors")

both = picture.edit(
    {
        "layers": {"inset": {"picture": str(results / "small.safetensors"), "place": [4, 4]}},
        "edits": [
            {"wave": {"amplitude": 2, "period": 24}},
            {"layer": "inset", "rotate": {"degrees": -10}},
        ],
    }
)
both.save(results / "both.png")
