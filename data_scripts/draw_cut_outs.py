"""Draws two cut-outs that anyone may use, to try edits and simulations on: lettering, and a fruit.

python data_scripts/draw_cut_outs.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

SIZE = 640, 480
SHARPER = 4
"""Pictures are drawn so many times as large, and reduced."""


def lettering(word: str) -> Image.Image:
    """A word in stripes of colour, on nothing."""
    width, height = (SHARPER * side for side in SIZE)
    y, x = np.mgrid[:height, :width] / height
    waves = [0.55 + 0.4 * np.sin(9 * x + 4 * np.sin(5 * y) + phase) for phase in (0.0, 2.1, 4.2)]
    mask = Image.new("L", (width, height))
    font = ImageFont.load_default(height * 0.45)
    ImageDraw.Draw(mask).text((width / 2, height / 2), word, 255, font, anchor="mm", stroke_width=height // 60)
    return _cut_out(np.stack(waves, axis=-1), mask)


def fruit() -> Image.Image:
    """A round fruit with freckles, a stalk and a leaf, on nothing."""
    width, height = (SHARPER * side for side in SIZE)
    y, x = np.mgrid[:height, :width].astype(float)
    middle, radius = (width * 0.5, height * 0.55), height * 0.36
    away = np.hypot(x - middle[0], y - middle[1]) / radius
    light = np.hypot(x - middle[0] + 0.4 * radius, y - middle[1] + 0.4 * radius) / radius
    shade = np.clip(1.15 - 0.5 * light, 0.25, 1)[..., None]
    freckles = 0.06 * (np.sin(x / 23) * np.sin(y / 19) > 0.9)[..., None]
    colours = shade * np.array([0.95, 0.55, 0.12]) + freckles + 0.5 * np.exp(-12 * light**2)[..., None]
    mask = Image.fromarray((255 * (away < 1)).astype(np.uint8))
    draw = ImageDraw.Draw(mask)
    stalk = [(middle[0], middle[1] - 0.9 * radius), (middle[0] + 0.1 * radius, middle[1] - 1.25 * radius)]
    draw.line(stalk, 255, SHARPER * 26)
    leaf = [stalk[1][0], stalk[1][1] - 0.05 * radius, stalk[1][0] + 0.6 * radius, stalk[1][1] + 0.25 * radius]
    draw.ellipse(leaf, 255)
    green = (away >= 1)[..., None] * (0.75 + 0.25 * np.sin(x / 40 + y / 17))[..., None] * np.array([0.2, 0.55, 0.15])
    return _cut_out(np.where((away >= 1)[..., None], green, colours), mask)


def _cut_out(colours: np.ndarray, mask: Image.Image) -> Image.Image:
    large = Image.fromarray((255 * np.clip(colours, 0, 1)).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    large.putalpha(mask)
    return large.resize(SIZE, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python data_scripts/draw_cut_outs.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in {"lettering": lettering("Sand"), "fruit": fruit()}.items():
        drawn.save(folder / f"{name}.png")
