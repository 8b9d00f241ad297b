"""Frames a second of films by edit scripts, as ``gainer edit`` writes them, beside what drawing alone takes.

    python benchmarks/film_speed.py PHOTO|PICTURE.safetensors [--frames 48] [--kind .mp4] [--threads 2] [--only NAME]

Each film is written whole, by the wall clock; reading the picture and taking it apart come before. ``drawn`` is the
same without a file. Rounds take turns among the films, and medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import gainer_ns as gn
from gainer_ns.film import Film

SMALL_RADIUS_PX = 23


def scripts(width: int, height: int) -> dict[str, list[dict[str, Any]]]:
    """Edits of a picture of this size."""
    w, h = width, height
    small = {"disc": {"center": [w * 0.45, h * 0.45], "radius": SMALL_RADIUS_PX}}
    disc = {"disc": {"center": [w / 2, h / 2], "radius": h / 4}}
    return {
        "rotate": [{"rotate": {"degrees": 15}}],
        "wave": [{"wave": {"amplitude": 8, "period": 96}}],
        "bend": [{"bend": {"degrees": 40, "axis": [[w * 0.2, h / 2], [w * 0.8, h / 2]]}}],
        "small disc moved": [{"select": small, "move": {"by": [80, -40]}}],
        "cut": [{"cut": {"line": [[w / 2, 0], [w / 2 + 20, h]], "gap": 30}}],
        "feathered disc": [{"select": {**disc, "feather": 60}, "rotate": {"degrees": 20}}],
    }


def film_of(picture: gn.Picture, edits: list[dict[str, Any]], frames: int) -> Film:
    """Take a picture apart."""
    film = picture.frames({"edits": [{**edit, "easing": "linear"} for edit in edits], "frames": frames, "fps": 24})
    assert isinstance(film, Film)
    return film


def drawn(film: Film) -> None:
    """Draw all frames, and keep none."""
    for picture in film._pictures():
        film._camera.draw(picture)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--kind", default=".mp4", help="suffix of the films; empty for folders of PNG frames")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", help="names of films")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stored = options.photo.suffix == ".safetensors"
    picture = gn.load(options.photo) if stored else gn.fit(options.photo)
    found = scripts(picture.width, picture.height)
    films = {name: film_of(picture, found[name], options.frames) for name in options.only or found}
    times: dict[str, dict[str, list[float]]] = {name: {"film": [], "drawn": [], "cpu": []} for name in films}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            for name, film in films.items():
                if turn == 0:
                    film_of(picture, found[name], 3).save(Path(folder) / f"warm {name}{options.kind}")
                begin, cpu = time.perf_counter(), time.process_time()
                film.save(Path(folder) / f"{turn} {name}{options.kind}")
                times[name]["film"].append(time.perf_counter() - begin)
                times[name]["cpu"].append(time.process_time() - cpu)
                begin = time.perf_counter()
                drawn(film)
                times[name]["drawn"].append(time.perf_counter() - begin)
    print("| film | frames a second | drawn a second | processor ms a frame |\n| --- | --: | --: | --: |")
    for name, lists in times.items():
        film, alone, cpu = (statistics.median(lists[what]) for what in ("film", "drawn", "cpu"))
        speeds = f"{options.frames / film:.1f} | {options.frames / alone:.1f}"
        print(f"| {name} | {speeds} | {1000 * cpu / options.frames:.0f} |")


if __name__ == "__main__":
    main()
