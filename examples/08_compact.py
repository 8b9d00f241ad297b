"""Fit few Gaussians that are learned entirely: a small file, quick to draw.

python examples/08_compact.py photo.png results
"""

import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)

compact = gn.fit(photo, method="gainer-compact", seconds=3)
compact.save(results / "compact.safetensors")
compact.save(results / "compact.png")
pixels = compact.width * compact.height
print(f"{len(compact.gaussians) / pixels:.2f} Gaussians a pixel, {compact.psnr:.1f} dB after 3 s")
