"""Runs the ten examples on a picture drawn by code, and puts what they make to docs/images/examples: ``make gallery``.

python docs/scripts/gallery.py docs/images [WIDTH]
"""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 384
"""Width of the picture that the examples are run on, in pixels."""
SHOWN = {
    "01_fit": ("Four times as large", ["detail.png"]),
    "02_edit": ("Edit a part, or all", ["moved.png", "bent.png"]),
    "03_film": ("Film an edit", ["jump.webp"]),
    "04_cut_out": ("Cut out, turn, lay over", ["turned.png"]),
    "05_layers": ("One over another", ["both.png"]),
    "06_simulate": ("Let it fall and wobble", ["fall.mp4"]),
    "07_lift": ("Lift to 3D, look askew", ["turning.webp"]),
    "08_compact": ("Few Gaussians", ["compact.png"]),
    "09_many": ("Many at once", ["photo_10.png", "photo_40.png"]),
    "10_own_deformation": ("A map of your own", ["swirl.png"]),
}
"""What each example is called on the sheet, and which of its results are shown."""
TILE = 240, 160
"""Width and height of a tile of the sheet, in pixels."""
CAPTION_HEIGHT = 26
GAP = 8
COLUMNS = 2, 5
"""Tiles a row: of the narrow sheet, and of the wide one."""


def frames_of(path: Path) -> list[Image.Image]:
    """Return what a picture or film shows, frame by frame, over white."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as film:
            return [frame.to_image() for frame in film.decode(video=0)]
    with Image.open(path) as image:
        frames = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            clear = image.convert("RGBA")
            frames.append(Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB"))
        return frames


def beside(images: list[Image.Image]) -> Image.Image:
    """Return pictures of equal height side by side."""
    height = max(image.height for image in images)
    images = [image.resize((round(image.width * height / image.height), height)) for image in images]
    row = Image.new("RGB", (sum(image.width + GAP for image in images) - GAP, height), "white")
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def sheet(tiles: dict[str, Image.Image], columns: int) -> Image.Image:
    """Return pictures with their names, in rows."""
    width, height = TILE[0] + GAP, TILE[1] + CAPTION_HEIGHT + GAP
    whole = Image.new("RGB", (columns * width - GAP, len(tiles) // columns * height - GAP), "white")
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(17)
    for number, (caption, image) in enumerate(tiles.items()):
        left, top = number % columns * width, number // columns * height
        fitting = image.copy()
        fitting.thumbnail(TILE, Image.Resampling.LANCZOS)
        whole.paste(fitting, (left + (TILE[0] - fitting.width) // 2, top + (TILE[1] - fitting.height) // 2))
        draw.text((left + TILE[0] // 2, top + TILE[1] + CAPTION_HEIGHT // 2), caption, "black", font, anchor="mm")
    return whole


def main(images: Path, width: int) -> None:
    """Write a picture or film for each example, and the sheets of all, to ``images``."""
    sys.path.insert(0, str(ROOT / "data_scripts"))
    from draw_picture import draw_picture

    (images / "examples").mkdir(parents=True, exist_ok=True)
    tiles = {}
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        draw_picture(width).save(photo)
        for name, (caption, results) in SHOWN.items():
            print(f"examples/{name}.py", flush=True)
            sys.argv = ["", str(photo), str(Path(folder) / name)]
            with contextlib.redirect_stdout(io.StringIO()):
                runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
            films = [frames_of(Path(folder) / name / result) for result in results]
            frames = films[0] if len(films) == 1 else [beside([film[0] for film in films])]
            for frame in frames:
                frame.thumbnail((2 * width, width), Image.Resampling.LANCZOS)
            tiles[caption] = films[0][len(films[0]) // 2] if len(films) == 1 or name == "02_edit" else frames[0]
            target = images / "examples" / f"{name}.webp"
            frames[0].save(target, save_all=True, append_images=frames[1:], duration=120, loop=0, quality=85, method=6)
    for columns, name in zip(COLUMNS, ("examples_narrow.webp", "examples.webp"), strict=True):
        sheet(tiles, columns).save(images / name, quality=88, method=6)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("python docs/scripts/gallery.py docs/images [WIDTH]")
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else WIDTH)
