"""Draws a small gallery through the commands, and keeps a hash of every picture's values.

Before the code is moved about: ``python benchmarks/golden_pictures.py golden.json``. Afterwards, on the same machine,
the same command says which pictures are no longer the same bit for bit, and ends with status 1 if there are any.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in parallel depend on how many take part

import numpy as np

ROOT = Path(__file__).parents[1]
EDITS, SCENES = ROOT / "configs" / "edits", ROOT / "configs" / "physics"
EDIT_SCALE, FILM_FRAMES, COMPACT_STEPS = 0.5, 4, 6


def gainer(*words: Any) -> None:
    """Runs a ``gainer`` command inside this process."""
    from gainer_ns.cli.main import entrypoint

    entrypoint([str(word) for word in words])


def fit(picture: Path, folder: Path, method: str, change: Callable[[Any], None] = lambda config: None) -> Path:
    """Runs ns-train inside this process and returns the run's config.yml."""
    from nerfstudio.configs.method_configs import all_methods
    from nerfstudio.scripts.train import main
    from nerfstudio.utils import profiler, writer

    config: Any = copy.deepcopy(all_methods[method])
    config.data, config.output_dir, config.vis = picture, folder, "tensorboard"
    change(config)
    for left_over in (writer.EVENT_WRITERS, writer.EVENT_STORAGE, profiler.PROFILER):  # nerfstudio's globals
        left_over.clear()
    main(config)
    return config.get_base_dir() / "config.yml"


def sources(folder: Path) -> tuple[Path, Path, Path]:
    """Writes a photograph, a cut-out of it, and a depth of the photograph: a slope with a step."""
    from PIL import Image
    from skimage import data  # shipped inside scikit-image, in the public domain (NASA)

    photo, cut_out, depth = folder / "photo.png", folder / "cut_out.png", folder / "depth.npy"
    samples = data.astronaut()
    Image.fromarray(samples).save(photo)
    y, x = np.mgrid[:512, :512]
    alpha = 255 * np.clip(60 - np.hypot(x - 230, y - 104), 0, 1)
    Image.fromarray(np.dstack([samples, np.uint8(alpha)])[40:168, 150:310]).save(cut_out)
    np.save(depth, np.float32(3 - x / 512 - (np.hypot(x - 256, y - 256) < 130)))
    return photo, cut_out, depth


def gallery(folder: Path) -> Iterator[Path]:
    """Draws everything into a folder; gives the files and folders as they are done."""
    photo, cut_out, depth = sources(folder)
    config = fit(photo, folder / "runs", "gainer")
    for name, options in {
        "fit": (),
        "double": ("--scale", 2),
        "half": ("--scale", 0.5),
        "crop": ("--scale", 3, "--crop", 200, 80, 260, 120),
    }.items():
        gainer("render", "--load-config", config, "--output", folder / f"{name}.png", *options)
        yield folder / f"{name}.png"
    stored = folder / "eight_bits.safetensors"
    gainer("export", "--load-config", config, "--bits", 8, "--output", stored)
    gainer("render", "--load-config", stored, "--output", folder / "eight_bits.png")
    yield folder / "eight_bits.png"
    cut_out_config = fit(cut_out, folder / "runs", "gainer")
    gainer("render", "--load-config", cut_out_config, "--output", folder / "cut_out.png", "--scale", 2)
    yield folder / "cut_out.png"
    shutil.copytree(EDITS, folder / "edits")
    gainer("export", "--load-config", cut_out_config, "--output", folder / "edits" / "sticker.safetensors")
    yield from edited(folder, config, lifted=False)
    gainer(
        "simulate", "--load-config", cut_out_config, "--scene", SCENES / "jelly.yaml", "--preview", "--output",
        folder / "jelly",
    )  # fmt: skip
    yield folder / "jelly"
    compact = fit(photo, folder / "runs", "gainer-compact", lambda config: _few_steps(config.pipeline.model))
    gainer("render", "--load-config", compact, "--output", folder / "compact.png")
    yield folder / "compact.png"
    lifted = fit(photo, folder / "runs", "gainer-lift", lambda config: _with_depth(config, depth))
    gainer("render", "--load-config", lifted, "--output", folder / "lifted.png")
    yield folder / "lifted.png"
    yield from edited(folder, lifted, lifted=True)


def edited(folder: Path, config: Path, *, lifted: bool) -> Iterator[Path]:
    """Draws the ready scripts for flat pictures or those for lifted photos, films with few frames."""
    scripts = sorted((folder / "edits").glob("*.yaml"))
    for script in (path for path in scripts if path.name.startswith("lifted_") == lifted):
        words = script.read_text("utf8")
        script.write_text(re.sub(r"^frames: \d+", f"frames: {FILM_FRAMES}", words, flags=re.MULTILINE), "utf8")
        output = folder / f"{script.stem}{'' if 'frames: ' in words else '.png'}"
        gainer("edit", "--load-config", config, "--script", script, "--output", output, "--scale", EDIT_SCALE)
        yield output


def hashed(path: Path) -> str:
    """A hash of a picture's values, or of all pictures of a folder."""
    from PIL import Image

    digest = hashlib.sha256()
    for file in sorted(path.glob("*.png")) if path.is_dir() else [path]:
        samples = np.asarray(Image.open(file))
        digest.update(repr((file.name, samples.shape, samples.dtype.str)).encode())
        digest.update(samples.tobytes())
    return digest.hexdigest()


def _few_steps(model: Any) -> None:
    model.finish_steps = COMPACT_STEPS


def _with_depth(config: Any, depth: Path) -> None:
    config.pipeline.datamanager.depth_path = depth


def main() -> None:
    """Draws the gallery and compares it with the file, or writes the file where there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hashes", type=Path, help="JSON file of hashes: compared with if it exists, else written")
    parser.add_argument("--keep", type=Path, help="folder to leave the pictures in")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name: hashed(path) for path in gallery(folder.absolute())}
    if not options.hashes.exists():
        options.hashes.write_text(json.dumps(found, indent=2) + "\n", "utf8")
        return
    before = json.loads(options.hashes.read_text("utf8"))
    changed = sorted(name for name in before | found if before.get(name) != found.get(name))
    for name in changed:
        sys.stderr.write(f"{name}: not the same as before\n")
    sys.stderr.write(f"{len(found) - len(changed)} of {len(found)} pictures are the same bit for bit\n")
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
