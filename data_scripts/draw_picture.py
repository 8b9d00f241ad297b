"""Draws a picture that anyone may use, for the gallery and to try things on: a balloon over hills and a lake.

python data_scripts/draw_picture.py photo.png [WIDTH]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

BALLOON = 0.4, 0.27, 0.115
"""Middle and radius of the balloon, in widths of the picture."""
ASPECT = 2 / 3
"""Height of the picture by its width."""
OVERSAMPLING = 4
"""The picture is drawn so many times as large, and reduced."""
SEED = 4


def draw_picture(width: int) -> Image.Image:
    """Draw the picture, ``width`` pixels wide and two thirds of that high."""
    height = round(ASPECT * width)
    large = OVERSAMPLING * width, OVERSAMPLING * height
    y, x = (np.mgrid[: large[1], : large[0]] + 0.5) / large[0]
    colours = _sky(x, y)
    ridges = [
        (0.36, 0.05, 7, [0.52, 0.62, 0.74]),
        (0.42, 0.04, 11, [0.36, 0.52, 0.50]),
        (0.48, 0.03, 5, [0.25, 0.44, 0.27]),
    ]
    for number, (level, amplitude, waves, colour) in enumerate(ridges):
        ridge = level + amplitude * np.sin(waves * x + 2 * number) + 0.008 * np.sin(41 * x + number)
        grass = 1 + 0.05 * (number + 1) * np.sin(160 * x + 30 * np.sin(23 * y)) * np.sin(140 * y)
        colours = np.where((y > ridge)[..., None], np.array(colour) * grass[..., None], colours)
    shore = 0.56 + 0.008 * np.sin(9 * x + 1)
    ripples = 0.5 + 0.5 * np.sin(380 * np.clip(y - shore, 0, None) ** 0.9 + 2 * np.sin(14 * x))
    water = np.array([0.20, 0.40, 0.55]) + 0.14 * (ripples * np.exp(-6 * (y - shore)))[..., None]
    colours = np.where((y > shore)[..., None], water, colours)
    colours = _balloon(colours, x, y)
    image = Image.fromarray((255 * np.clip(colours, 0, 1)).astype(np.uint8))
    _house(ImageDraw.Draw(image), large[0])
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A clear sky, yellow low down, with soft clouds and a sun."""
    share = np.clip(y / 0.42, 0, 1)[..., None]
    colours = (1 - share) * np.array([0.33, 0.58, 0.88]) + share * np.array([0.98, 0.88, 0.72])
    generator = np.random.default_rng(SEED)
    for _ in range(16):
        middle, size = generator.uniform([0, 0.03], [1, 0.24]), generator.uniform(0.02, 0.07)
        cloud = 0.5 * np.exp(-(((x - middle[0]) / (2.4 * size)) ** 2) - ((y - middle[1]) / (0.6 * size)) ** 2)
        colours = colours + (1 - colours) * cloud[..., None]
    sun = np.hypot(x - 0.83, y - 0.13)
    glow = np.where(sun < 0.045, 1, 0.6 * np.exp(-18 * np.clip(sun - 0.045, 0, None)))
    return colours + (np.array([1.0, 0.97, 0.8]) - colours) * glow[..., None]


def _balloon(colours: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A striped balloon with its basket."""
    left, top, radius = BALLOON
    u, v = (x - left) / radius, (y - (top - 0.15 * radius)) / radius
    narrow = np.where(v > 0, 1 + 0.75 * np.clip(v, 0, None) ** 2, 1)
    inside = np.hypot(u * narrow, v / 1.05) < 0.86
    longitude = np.arcsin(np.clip(u * narrow / (0.86 * np.sqrt(np.clip(1 - (v / 0.92) ** 2, 0.02, 1))), -1, 1))
    stripes = np.floor(longitude / np.pi * 8 + 4).astype(int) % 4
    paint = np.array([[0.86, 0.20, 0.18], [0.98, 0.93, 0.85], [0.95, 0.62, 0.12], [0.16, 0.36, 0.60]])[stripes]
    paint = np.where((np.abs(v - 0.12) < 0.09)[..., None], np.array([0.20, 0.22, 0.38]), paint)
    light = np.clip(1.12 - 0.45 * np.hypot(u - 0.35, v + 0.4), 0.45, 1.1)[..., None]
    colours = np.where(inside[..., None], paint * light, colours)
    ropes = (np.abs(np.abs(u) - 0.16 + 0.05 * (v - 0.8)) < 0.012) & (v > 0.7) & (v < 1.02)
    basket = (np.abs(u) < 0.15) & (np.abs(v - 1.1) < 0.09)
    weave = 0.85 + 0.15 * np.sign(np.sin(70 * u) * np.sin(80 * v))[..., None]
    colours = np.where(ropes[..., None], [0.25, 0.18, 0.12], colours)
    return np.where(basket[..., None], np.array([0.55, 0.36, 0.18]) * weave, colours)


def _house(draw: ImageDraw.ImageDraw, width: int) -> None:
    """A house and two trees on the shore."""

    def at(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(width * a, width * b) for a, b in points]

    draw.rectangle(at((0.70, 0.475), (0.80, 0.555)), (236, 226, 206))
    draw.polygon(at((0.685, 0.48), (0.75, 0.42), (0.815, 0.48)), (150, 62, 48))
    draw.rectangle(at((0.74, 0.505), (0.765, 0.555)), (92, 62, 44))
    for left in (0.712, 0.775):
        draw.rectangle(at((left, 0.49), (left + 0.015, 0.51)), (88, 128, 160))
    for left, top in ((0.86, 0.43), (0.9, 0.455)):
        draw.rectangle(at((left - 0.004, top + 0.06), (left + 0.004, 0.558)), (82, 58, 40))
        for step in range(4):
            half, down = 0.012 + 0.007 * step, top + 0.024 * step
            draw.polygon(
                at((left - half, down + 0.036), (left, down), (left + half, down + 0.036)), (38, 92 - 6 * step, 58)
            )


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("python data_scripts/draw_picture.py photo.png [WIDTH]")
    file = Path(sys.argv[1])
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_picture(int(sys.argv[2]) if len(sys.argv) == 3 else 384).save(file)
