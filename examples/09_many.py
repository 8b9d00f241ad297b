"""Serve many pictures at once: a bad one is an ordinary exception, and the others go on.

python examples/09_many.py photo.png results
"""

import asyncio
import sys
from pathlib import Path

import gainer_ns as gn

photo, results = Path(sys.argv[1]), Path(sys.argv[2])
results.mkdir(parents=True, exist_ok=True)


def turned(source: Path, degrees: float) -> str:
    """Fits a picture, turns it and keeps it."""
    target = results / f"{source.stem}_{degrees:g}.png"
    gn.fit(source, downscale=2).edit({"rotate": {"degrees": degrees}}).save(target)
    return target.name


async def main() -> None:
    """Answers four requests, of which one is wrong."""
    requests = [(photo, 10), (Path("missing.png"), 20), (photo, 30), (photo, 40)]
    work = (asyncio.to_thread(turned, *request) for request in requests)
    for answer in await asyncio.gather(*work, return_exceptions=True):
        print(f"refused: {answer}" if isinstance(answer, gn.GainerError) else f"wrote {answer}")


asyncio.run(main())
