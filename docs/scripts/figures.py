"""Draws figures of docs/units.md (one picture with all coordinates that point into it), docs/editing.md and physics.md.

python docs/scripts/figures.py docs/images
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

import gainer_ns as gn

ROOT = Path(__file__).resolve().parents[2]
SIZE = 384, 256
"""Width and height of the picture in pixels."""
POINT = 153.6, 97.0
"""A point that is named in every unit: the middle of the balloon, in pixels."""
PIXELS, PLANE, WIDTHS, WORLD = "#1f4e9c", "#a8201a", "#1b6b3a", "#6b2d8c"
DOTS_PER_INCH = 160
HEAD = [[368, 36], [500, 36], [500, 132], [368, 132]]
"""What is turned in the figure of regions: the head of the animal of data_scripts/draw_cut_outs.py, in its pixels."""
REGION_CROP = 90, 10, 540, 460
REGION_TILE_PX = 300
MATERIAL_SCENE = {
    "domain": {"margin": [0.35, 0.03, 0.35, 0.12]},
    "canvas": "domain",
    "background": {"color": [255, 255, 255]},
    "duration": 1.2,
    "fps": 10,
}
MATERIAL_FRAMES, MATERIAL_SCALE, MATERIAL_PARTICLES = (3, 6, 12), 0.2, 3000
"""Which frames of a material are shown, how large, and of how many particles."""


def draw_flat(axes: Axes, picture: np.ndarray) -> None:
    """Draw the picture with rulers in pixels and in widths, and the axes of the plane."""
    width, height = SIZE
    axes.imshow(picture, extent=(0, width, height, 0))
    axes.tick_params(colors=PIXELS)
    axes.set_xticks([0, 96, 192, 288, width])
    axes.set_yticks([0, 64, 128, 192, height])
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("pixels: x right", color=PIXELS)
    axes.set_ylabel("pixels: y down", color=PIXELS)
    ratio = height / width
    across = axes.secondary_xaxis("bottom", functions=(lambda x: x / width, lambda x: x * width))
    across.set_xticks([0, 0.25, 0.5, 0.75, 1])
    across.set_xlabel("widths: x right", color=WIDTHS)
    down = axes.secondary_yaxis("right", functions=(lambda y: y / width, lambda y: y * width))
    down.set_yticks([0, ratio / 2, ratio], ["0", f"{ratio / 2:.2f}", f"{ratio:.2f}"])
    down.set_ylabel("widths: y down", color=WIDTHS)
    for ruler in (across, down):
        ruler.tick_params(colors=WIDTHS)
    arrow = {"arrowstyle": "->", "color": PLANE, "lw": 1.8}
    axes.annotate("", (width - 2, height / 2), (2, height / 2), arrowprops=arrow)
    axes.annotate("", (width / 2, 2), (width / 2, height - 2), arrowprops=arrow)
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
    names = [
        ((width - 4, height / 2 + 13), "x 0.5", "right"),
        ((4, height / 2 + 13), "x −0.5", "left"),
        ((width / 2 + 5, 12), f"y {ratio / 2:.2f}", "left"),
        ((width / 2 + 5, height - 9), f"y −{ratio / 2:.2f}", "left"),
        ((width / 2 + 5, height / 2 + 13), "plane (0, 0)", "left"),
    ]
    for place, name, side in names:
        axes.text(*place, name, color=PLANE, ha=side, va="center", bbox=box)
    x, y = POINT
    axes.plot(x, y, "o", color="white", mec="black", ms=7)
    lines = [
        (f"pixels ({x}, {y:g})", PIXELS),
        (f"plane (−{(width / 2 - x) / width:.2f}, {(height / 2 - y) / width:.2f})", PLANE),
        (f"widths ({x / width:.2f}, {y / width:.2f})", WIDTHS),
    ]
    for number, (line, colour) in enumerate(lines):
        axes.text(6, height - 48 + 18 * number, line, color=colour, va="center", bbox=box)
    axes.annotate("", (x - 4, y + 5), (62, height - 60), arrowprops={"arrowstyle": "-", "color": "black", "lw": 0.8})


def draw_pixel(axes: Axes, picture: np.ndarray) -> None:
    """Draw the picture's top-left pixels, with the corner and the middle of the first."""
    axes.imshow(picture[:3, :4], extent=(0, 4, 3, 0))
    axes.set_xticks(range(5))
    axes.set_yticks(range(4))
    axes.xaxis.tick_top()
    axes.tick_params(colors=PIXELS)
    axes.grid(color="white", lw=1)
    axes.plot([0, 0.5], [0, 0.5], "o", color=PIXELS, clip_on=False, ms=6)
    box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}
    for name, place, at in (("corner (0, 0)", (0, 0), (1.5, 0.55)), ("centre\n(0.5, 0.5)", (0.5, 0.5), (1.5, 1.8))):
        axes.annotate(name, place, at, color=PIXELS, bbox=box, arrowprops={"arrowstyle": "->", "color": PIXELS})
    axes.set_xlabel("the top-left pixels")


def draw_world(axes: Axes) -> None:
    """Draw the world from the side: the picture at z = 0, or what is lifted around it, and the camera at z = 1."""
    half = SIZE[1] / SIZE[0] / 2
    axes.plot([0, 0], [-half, half], color=PLANE, lw=4, solid_capstyle="butt")
    axes.text(0.04, half + 0.03, "a picture: z = 0", color=PLANE)
    for end in (-half, half):
        axes.plot([1, 0, -0.42], [0, end, 1.42 * end], color="grey", lw=0.8, ls=":")
    heights = np.linspace(-1, 1, 81)
    surface = -0.2 + 0.35 * (heights < -0.2) * (-heights - 0.2) + 0.36 * (np.abs(heights - 0.25) < 0.28)
    axes.plot(surface, half * heights * (1 - surface), color=WORLD, lw=1.5)
    axes.text(-0.48, -half - 0.24, "a lifted photo: its\nmiddle is at z = 0", color=WORLD, va="center")
    axes.plot(1, 0, "k>", ms=11, markerfacecolor="black")
    axes.plot(1, 0, "k<", ms=11)
    axes.text(1.1, -0.08, "camera\n(0, 0, 1)", ha="right", va="top")
    axes.annotate("", (1.12, -0.62), (0.5, -0.62), arrowprops={"arrowstyle": "->"})
    axes.text(0.78, -0.57, "z", ha="center")
    axes.annotate("", (0.5, -0.32), (0.5, -0.62), arrowprops={"arrowstyle": "->"})
    axes.text(0.53, -0.42, "y")
    axes.set_xlim(-0.5, 1.16)
    axes.set_ylim(-0.7, half + 0.14)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title("world units, from the side", fontsize=10)


def draw_regions() -> Image.Image:
    """Draw an animal whose head turns, as part of the sheet and cut out, on magenta."""
    from draw_cut_outs import animal

    from gainer_bench.sheets import Tile, square_tile, tile_sheet

    source = animal()
    picture = gn.fit(source)
    marked = source.copy()
    ImageDraw.Draw(marked).polygon([tuple(corner) for corner in HEAD], outline="black", width=3)
    shown = {"what is selected": np.asarray(marked.crop(REGION_CROP))}
    for mode in ("sheet", "piece"):
        edit = {"select": {"polygon": HEAD}, "mode": mode, "rotate": {"degrees": 40}}
        shown[f"mode: {mode}"] = picture.edit(edit).render(crop=REGION_CROP)
    tiles = [Tile(name, [square_tile(drawn, REGION_TILE_PX, "magenta")]) for name, drawn in shown.items()]
    return tile_sheet(tiles, len(tiles))


def draw_materials(images: Path) -> None:
    """Write ``material_soft.png`` and so on to a folder: a fruit of each material that falls, at three moments."""
    from draw_cut_outs import fruit

    from gainer_ns.physics.materials import PRESETS

    picture = gn.fit(fruit())
    for name, material in PRESETS.items():
        if material.behaviour == "pinned":
            continue
        scene = {**MATERIAL_SCENE, "bodies": [{"material": name}]}
        film = picture.simulate(scene, scale=MATERIAL_SCALE, particles=MATERIAL_PARTICLES)
        shown = [frame[..., :3] for number, frame in enumerate(film) if number in MATERIAL_FRAMES]
        strip = Image.fromarray(np.concatenate(shown, axis=1))
        strip.quantize(255, dither=Image.Dither.NONE).save(images / f"material_{name}.png", optimize=True)


def main(images: Path) -> None:
    """Write ``units.png``, ``regions.png`` and the pictures of materials to ``images``."""
    sys.path.insert(0, str(ROOT / "data_scripts"))
    from draw_picture import draw_picture

    picture = np.asarray(draw_picture(SIZE[0]))
    plt.rcParams.update({"font.size": 10, "figure.dpi": DOTS_PER_INCH})
    figure = plt.figure(figsize=(5.4, 6.3), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[1.55, 1], width_ratios=[1, 1.45])
    draw_flat(figure.add_subplot(grid[0, :]), picture)
    draw_pixel(figure.add_subplot(grid[1, 0]), picture)
    draw_world(figure.add_subplot(grid[1, 1]))
    images.mkdir(parents=True, exist_ok=True)
    figure.savefig(images / "units.png", metadata={"Software": None})
    draw_regions().quantize(255, dither=Image.Dither.NONE).save(images / "regions.png", optimize=True)
    draw_materials(images)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python docs/scripts/figures.py docs/images")
    main(Path(sys.argv[1]))
