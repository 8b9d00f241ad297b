"""Names the pictures of a suite apart, each by the shortest end of its path that no other has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def names_apart(pictures: Sequence[tuple[Path, str]]) -> list[str]:
    """Finds the shortest ends of paths that tell pictures apart: ``photo``, ``before/photo``, or ``photo.png``.

    Args:
        pictures: The absolute path of each, and what follows its name: how it was cut and reduced.

    Returns:
        A name for each; pictures that are alike in both have the same one.
    """
    different = list(dict.fromkeys(pictures))
    names: dict[tuple[Path, str], str] = {}
    for with_suffix in (False, True):
        for parts in range(1, 1 + max((len(path.parts) for path, _ in different), default=0)):
            ends = {one: _end(one, parts, with_suffix) for one in different}
            count = Counter(ends.values())
            for one, end in ends.items():
                if count[end] == 1 and end not in names.values():
                    names.setdefault(one, end)
    return [names[one] for one in pictures]


def _end(picture: tuple[Path, str], parts: int, with_suffix: bool) -> str:
    path, changes = picture
    last = path.name if with_suffix else path.stem
    return "/".join([*path.parts[1:-1][len(path.parts) - 1 - parts :], last] if parts > 1 else [last]) + changes
