"""Draws three cut-outs that anyone may use, to try edits and simulations on: lettering, a fruit, and an animal.

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


def animal() -> Image.Image:
    """An animal with a long neck, thin legs, spots and ears, on nothing."""
    width, height = (SHARPER * side for side in SIZE)
    unit = height / 480
    mask, spots = Image.new("L", (width, height)), Image.new("L", (width, height))
    draw, spot = ImageDraw.Draw(mask), ImageDraw.Draw(spots)

    def ball(x: float, y: float, across: float, down: float, on: ImageDraw.ImageDraw = draw) -> None:
        on.ellipse([unit * side for side in (x - across, y - down, x + across, y + down)], 255)

    def limb(*points: tuple[float, float], thick: float) -> None:
        draw.line([(unit * x, unit * y) for x, y in points], 255, round(unit * thick), joint="curve")
        for x, y in points:
            ball(x, y, thick / 2, thick / 2)

    ball(270, 285, 108, 56)
    ball(420, 92, 44, 24)
    limb((345, 275), (372, 190), (396, 100), thick=40)
    limb((455, 98), (478, 106), thick=24)
    for ear in ((388, 58), (408, 52)):
        limb((398, 84), ear, thick=9)
    for hip, foot in ((190, 180), (222, 218), (322, 324), (354, 364)):
        limb((hip, 310), (hip - 3, 380), (foot, 452), thick=17)
    limb((168, 262), (140, 300), (132, 350), thick=8)
    for number in range(90):  # in rows and columns that are out of step
        row, column = divmod(number, 10)
        across, down = 9 + 3 * np.sin(5.0 * number), 8 + 3 * np.sin(3.0 * number)
        ball(150 + 29 * column + 14 * (row % 2), 120 + 27 * row + 6 * np.sin(7.0 * number), across, down, spot)
    y, x = np.mgrid[:height, :width] / unit
    shade = (1.12 - 0.0011 * (y - 60))[..., None] + 0.04 * np.sin(x / 9 + np.sin(y / 14))[..., None]
    spotted = np.asarray(spots)[..., None] / 255
    colours = shade * (np.array([0.93, 0.74, 0.42]) * (1 - spotted) + np.array([0.58, 0.33, 0.15]) * spotted)
    colours[np.hypot(x - 428, y - 86) < 5] = 0.08
    return _cut_out(colours, mask)


def _cut_out(colours: np.ndarray, mask: Image.Image) -> Image.Image:
    large = Image.fromarray((255 * np.clip(colours, 0, 1)).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    large.putalpha(mask)
    return large.resize(SIZE, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python data_scripts/draw_cut_outs.py FOLDER")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, drawn in {"lettering": lettering("Sand"), "fruit": fruit(), "animal": animal()}.items():
        drawn.save(folder / f"{name}.png")
