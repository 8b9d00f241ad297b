"""The library as a program uses it, compared with the commands."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import gainer_ns as gn
from gainer_ns.editing.backdrops import BackgroundPlate
from gainer_ns.editing.shots import Camera
from gainer_ns.fitting.trainer import fit_layer
from gainer_ns.frames import ImagePlane
from gainer_ns.io.image_io import read_picture
from gainer_ns.recipes import RECIPES

Fit = Callable[..., Path]
MOVE = {"select": {"box": [6, 5, 14, 12]}, "move": {"by": [4, 3]}}
TURN = {"rotate": {"degrees": 9}}
FALL = {
    "bodies": [{"material": {"preset": "soft"}, "select": {"disc": {"center": [0.5, 0.3], "radius": 0.2}}}],
    "colliders": [{"floor": {}}],
    "canvas": [0, 0, 1, 0.5],
    "duration": 0.2,
    "fps": 10,
}


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """A smooth opaque picture of 24 x 18 pixels."""
    y, x = np.mgrid[0:18, 0:24]
    waves = [np.sin(x / 4 + y / 7), np.cos(x / 5 - y / 3), np.sin((x + y) / 6)]
    return np.rint(128 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def picture(colours: np.ndarray) -> gn.Picture:
    """The fit of it."""
    return gn.fit(colours)


def run(code: str, *args: Any) -> str:
    """What a new Python prints that runs this."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_nothing() -> None:
    code = "import sys, gainer_ns as gn; dir(gn); print(gn.__version__, {'torch', 'numpy'} & set(sys.modules))"
    version, *heavy = run(code).split()
    assert version[0].isdigit() and heavy == ["set()"]


def test_all_that_it_names_is_there() -> None:
    assert all(getattr(gn, name) is not None for name in gn.__all__)
    with pytest.raises(AttributeError, match="no attribute 'unfit'"):
        gn.unfit  # noqa: B018


CORE = """
import sys, json
import gainer_ns as gn
photo, scene, kept = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
picture = gn.fit(photo, downscale=4)
picture.edit({"rotate": {"degrees": 20}}).save(kept)
shapes = [gn.load(kept).render(scale=2).shape, next(iter(picture.simulate(scene))).shape]
foreign = {"nerfstudio", "viser", "tensorboard", "gsplat", "tyro"} & {name.split(".")[0] for name in sys.modules}
print(shapes, sorted(foreign))
"""


def test_fit_edit_simulate_and_draw_without_nerfstudio(photo: Path, tmp_path: Path) -> None:
    import json

    found = run(CORE, photo, json.dumps(FALL), tmp_path / "kept.safetensors")
    assert found.strip() == "[(32, 48, 4), (12, 24, 4)] []"


def test_it_fits_what_ns_train_fits(fitted_run: Path, photo: Path) -> None:
    ours, theirs = gn.fit(photo).gaussians, gn.load(fitted_run).gaussians
    assert torch.equal(ours.means, theirs.means) and torch.equal(ours.covariances, theirs.covariances)
    assert torch.equal(ours.features, theirs.features)


@pytest.mark.parametrize("method", ["gainer-compact", "gainer-paper"])
def test_steps_are_those_of_ns_train(method: str, fit: Fit, photo: Path, tmp_path: Path) -> None:
    options = {"num_gaussians": 400, "adam_steps" if method == "gainer-paper" else "finish_steps": 6}

    def short(config: Any) -> None:
        vars(config.pipeline.model).update(options)

    theirs = gn.load(fit(photo, tmp_path, method, short)).gaussians
    recipe, adam = RECIPES[method]
    read = torch.from_numpy(read_picture(photo).colours())
    layer, done = fit_layer(read, None, replace(recipe, **options), adam)
    assert torch.equal(layer.gaussians.means, theirs.means)
    assert torch.equal(layer.gaussians.features, theirs.features)
    assert [step for step, *_ in done.history][-1] == 5


def test_what_was_fitted_is_what_is_drawn(picture: gn.Picture, colours: np.ndarray) -> None:
    assert np.array_equal(picture.render(), colours)
    assert (picture.width, picture.height, picture.is_lifted) == (24, 18, False)
    assert picture.psnr is not None and picture.psnr > 60
    assert picture.render(scale=2, crop=(0, 0, 12, 6)).shape == (12, 24, 3)
    deep = picture.render(dtype="uint16")
    assert deep.dtype == np.uint16 and np.abs(deep / 257 - colours).max() < 0.5
    assert np.allclose(picture.render(dtype="float32") * 255, colours, atol=0.5)


def as_cutout(colours: np.ndarray) -> np.ndarray:
    alpha = np.zeros((*colours.shape[:2], 1), np.uint8)
    alpha[4:14, 5:19] = 255
    return np.concatenate([colours, alpha], axis=2)


SOURCES = {
    "bytes": lambda colours: colours,
    "gray": lambda colours: colours[..., 0],
    "16 bits": lambda colours: colours.astype(np.uint16) * 257,
    "floats": lambda colours: colours / 255,
    "cut-out": as_cutout,
    "Pillow": Image.fromarray,
    "Pillow's gray": lambda colours: Image.fromarray(colours[..., 0]),
    "Pillow's palette": lambda colours: Image.fromarray(colours).quantize(16),
    "Pillow's 16 bits": lambda colours: Image.fromarray(colours[..., 0].astype(np.uint16) * 257),
    "Pillow's whole numbers": lambda colours: Image.fromarray(colours[..., 0].astype(np.int32) * 257),
    "Pillow's floats": lambda colours: Image.fromarray(colours[..., 0].astype(np.float32) / 255),
    "Pillow's cut-out": lambda colours: Image.fromarray(as_cutout(colours)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_any_source(kind: str, colours: np.ndarray) -> None:
    source = SOURCES[kind](colours)
    found = gn.fit(source).render()
    wanted = np.asarray(source.convert("RGB") if getattr(source, "mode", "") in ("P", "L") else source)
    if wanted.dtype != np.uint8:
        wanted = np.rint(wanted / (257 if wanted.dtype.kind in "ui" else 1 / 255)).astype(np.uint8)
    wanted = np.repeat(wanted[..., None], 3, axis=2) if wanted.ndim == 2 else wanted
    if wanted.shape[2] == 4:
        assert np.array_equal(found[..., 3], wanted[..., 3])
        found, wanted = found[..., :3] * (found[..., 3:] > 0), wanted[..., :3] * (wanted[..., 3:] > 0)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (np.zeros((4, 5, 2), np.uint8), "4 x 5 x 2"),
        (np.zeros((0, 5, 3), np.uint8), "0 x 5 x 3"),
        (np.zeros(7, np.uint8), "array of 7"),
        (np.zeros((4, 5, 3), np.int32), "int32"),
        (np.full((4, 5, 3), 1.5), "from 0 to 1"),
        (np.full((4, 5, 3), np.nan), "from 0 to 1"),
        (np.zeros((4, 5, 4), np.uint8), "transparent"),
        (Image.fromarray(np.full((4, 5), 70000, np.int32)), "from 0 to 65535"),
        (Image.fromarray(np.full((4, 5), 2.0, np.float32)), "from 0 to 1"),
        (torch.zeros(4, 5, 3), "Tensor: give a file"),
        ([[0, 1], [1, 0]], "list: give a file"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_what_is_no_picture_is_refused(source: Any, complaint: str) -> None:
    with pytest.raises(gn.GainerError, match=complaint) as caught:
        gn.fit(source)
    assert "\n" not in str(caught.value)


EDITS: dict[str, dict[str, Any]] = {
    "moved": {"edits": [MOVE]},
    "over a colour": {"edits": [MOVE], "background": {"color": [200, 30, 10]}, "canvas": [-4, -4, 30, 20]},
    "inpainted": {"edits": [MOVE], "background": {"inpaint": "telea"}},
    "turned": {"edits": [{"rotate": {"degrees": 25}}]},
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_is_that_of_the_command(
    kind: str, picture: gn.Picture, gainer: Callable[..., None], tmp_path: Path
) -> None:
    kept, script, drawn = tmp_path / "kept.safetensors", tmp_path / "edit.yaml", tmp_path / "drawn.png"
    picture.save(kept)
    script.write_text(yaml.safe_dump(EDITS[kind]))
    gainer("edit", "--load-config", kept, "--script", script, "--output", drawn)
    for words in (EDITS[kind], script, str(script)):
        assert np.array_equal(picture.edit(words).render(), np.asarray(Image.open(drawn)))


def test_a_film_is_that_of_the_command(picture: gn.Picture, gainer: Callable[..., None], tmp_path: Path) -> None:
    kept, script = tmp_path / "kept.safetensors", tmp_path / "edit.yaml"
    words = {"edits": [MOVE], "frames": 3, "fps": 12}
    picture.save(kept)
    script.write_text(yaml.safe_dump(words))
    gainer("edit", "--load-config", kept, "--script", script, "--output", tmp_path / "theirs")
    film = picture.frames(words)
    film.save(tmp_path / "ours")
    names = [f"frame_0000{number}.png" for number in range(3)]
    assert (len(film), film.fps) == (3, 12) and sorted(path.name for path in (tmp_path / "ours").iterdir()) == names
    for name, frame in zip(names, film, strict=True):
        ours, theirs = (np.asarray(Image.open(tmp_path / folder / name)) for folder in ("ours", "theirs"))
        assert (
            np.array_equal(ours, theirs) and frame.shape[2] == 4 and np.array_equal(frame[..., : ours.shape[2]], ours)
        )


def test_edits_alone_are_a_script(picture: gn.Picture) -> None:
    whole = picture.edit({"edits": [MOVE]}).render()
    assert np.array_equal(picture.edit([MOVE]).render(), whole)
    assert np.array_equal(picture.edit(MOVE).render(), whole)


def test_what_lies_behind_stays_through_further_edits(picture: gn.Picture) -> None:
    red = {"edits": [MOVE], "background": {"color": [255, 0, 0]}}
    once = picture.edit(red)
    twice = once.edit({"select": {"all": True}, "scale": {"factor": 0.5}})
    assert tuple(twice.render()[0, 0]) == (255, 0, 0) and twice.render().shape[2] == 3
    clear = once.edit({"edits": [{"scale": {"factor": 0.5}}], "background": {"transparent": True}})
    assert clear.render()[0, 0, 3] == 0


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_an_edited_picture_at_other_scales(scale: float, picture: gn.Picture) -> None:
    """What was drawn at one scale does not stay behind at another."""
    edited = picture.edit({"edits": [MOVE], "background": {"color": [255, 0, 0]}})
    edited.render()
    again = picture.edit({"edits": [MOVE], "background": {"color": [255, 0, 0]}})
    assert np.array_equal(edited.render(scale=scale), again.render(scale=scale))


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ({"rotte": {"degrees": 2}}, r"edits\[0\].rotte: unknown word"),
        ([MOVE, {"rotate": {"degrees": "x"}}], r"edits\[1\].rotate.degrees: must be a number"),
        ({"edits": [], "frames": 3}, "neither edits nor layers"),
        ({"edits": [MOVE], "background": {"image": "nowhere.png"}}, "background.image: nowhere.png does not exist"),
        ("nowhere.yaml", "nowhere.yaml: does not exist"),
        (None, "NoneType: give a YAML file"),
    ],
)
def test_a_wrong_script_is_refused(script: Any, complaint: str, picture: gn.Picture) -> None:
    with pytest.raises(gn.GainerError, match=complaint) as caught:
        picture.edit(script)
    assert "\n" not in str(caught.value)


def test_a_simulation_falls(picture: gn.Picture) -> None:
    film = picture.simulate(FALL)
    frames = list(film)
    assert len(film) == len(frames) and film.fps == 10
    assert np.array_equal(frames[0][..., :3], picture.render(crop=(0, 0, 24, 12))) and frames[0][..., 3].min() == 255
    holes = [int((frame[..., 3] < 128).sum()) if frame.shape[2] == 4 else 0 for frame in frames]
    assert holes[0] == 0 and holes[-1] > 0


def test_what_is_kept_is_loaded(picture: gn.Picture, tmp_path: Path) -> None:
    edited = picture.edit(MOVE)
    edited.save(tmp_path / "kept.safetensors")
    assert np.array_equal(gn.load(tmp_path / "kept.safetensors").render(), edited.render())
    edited.save(tmp_path / "twice.png", scale=2)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "twice.png")), edited.render(scale=2))
    with pytest.raises(gn.GainerError, match="leave scale, crop and sampling out"):
        edited.save(tmp_path / "other.safetensors", scale=2)
    with pytest.raises(gn.GainerError, match=r"pictures are|\.docx"):
        edited.save(tmp_path / "picture.docx")


def turned(points: torch.Tensor, degrees: float) -> tuple[torch.Tensor, torch.Tensor]:
    angle = torch.tensor(np.radians(degrees), dtype=points.dtype)
    matrix = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    return points @ matrix.T, matrix[None]


def test_motion_of_ones_own(picture: gn.Picture) -> None:
    means = picture.gaussians.means
    assert np.array_equal(picture.moved(means).render(), picture.render())
    there, jacobian = turned(means, 10)
    told, estimated = picture.moved(there, jacobian), picture.moved(there)
    assert float((told.gaussians.covariances - estimated.gaussians.covariances).abs().max()) < 1e-6
    difference = told.render(dtype="float32")[..., :3] - estimated.render(dtype="float32")[..., :3]
    assert np.abs(difference).max() < 1e-2
    edited = picture.edit({"rotate": {"degrees": 10}}).render(dtype="float32")
    inside = np.s_[6:12, 8:16]
    assert np.abs(told.render(dtype="float32")[inside][..., :3] - edited[inside][..., :3]).max() < 2 / 255


def test_what_a_script_has_edited_says_where_its_gaussians_are_and_is_not_moved(picture: gn.Picture) -> None:
    edited = picture.edit({"rotate": {"degrees": 10}})
    there, _ = turned(picture.gaussians.means, 10)
    assert float((edited.gaussians.means - there).abs().max()) < 1e-5
    with pytest.raises(gn.GainerError, match="edited by a script") as refused:
        edited.moved(there)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("harm", ["fewer", "not finite", "jacobians"])
def test_motion_that_does_not_fit_is_refused(harm: str, picture: gn.Picture) -> None:
    means = picture.gaussians.means.clone()
    jacobians = torch.eye(3)[None] if harm == "jacobians" else None
    if harm == "fewer":
        means = means[1:]
    if harm == "not finite":
        means[3, 1] = torch.nan
    with pytest.raises(gn.GainerError, match="must be finite numbers of shape"):
        picture.moved(means, jacobians)


def test_a_notebook_shows_it(picture: gn.Picture) -> None:
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert "24 x 18 pixels, 432 Gaussians" in repr(picture)
    film = picture.frames({"edits": [{"rotate": {"degrees": 5}}], "frames": 3})
    assert repr(film) == "<gainer_ns.Film of 3 frames, 24 a second>"


def test_a_camera_that_is_copied_forgets_what_lay_behind() -> None:
    camera = Camera(BackgroundPlate.colour_or_image((9, 9, 9), None, gn.fit(np.full((4, 5, 3), 200, np.uint8))._drawn))
    camera.draw(gn.fit(np.full((4, 5, 3), 200, np.uint8))._drawn)
    assert camera._back is not None and replace(camera, scale=2.0)._back is None
    assert ImagePlane(5, 4).pixels == 20


LIFTED_SCRIPT = {"edits": [{"rotate": {"degrees": 10}}], "frames": 2}


def test_lifting_is_that_of_ns_train(fit: Fit, photo: Path, gainer: Callable[..., None], tmp_path: Path) -> None:
    y, x = np.mgrid[0:64, 0:96]
    depth = (2 + x / 96 + np.sin(y / 9) / 5).astype(np.float32)
    mask = np.hypot(x - 48, y - 32) < 26
    np.save(tmp_path / "depth.npy", depth)
    Image.fromarray(mask).save(tmp_path / "mask.png")

    def named(config: Any) -> None:
        data = config.pipeline.datamanager
        data.depth_path, data.mask_path, data.focal_length = tmp_path / "depth.npy", tmp_path / "mask.png", 120.0

    theirs = fit(photo, tmp_path, "gainer-lift", named)
    lifted = gn.lift(photo, depth=depth, mask=mask, focal_length=120.0)
    assert lifted.is_lifted and lifted.psnr is not None and lifted.psnr > 40
    assert np.array_equal(lifted.render(), gn.load(theirs).render())
    from_files = gn.lift(
        Image.open(photo), depth=tmp_path / "depth.npy", mask=str(tmp_path / "mask.png"), focal_length=120.0
    )
    assert np.array_equal(lifted.render(), from_files.render())
    script = tmp_path / "edit.yaml"
    script.write_text(yaml.safe_dump(LIFTED_SCRIPT))
    gainer("edit", "--load-config", theirs, "--script", script, "--output", tmp_path / "film")
    for number, frame in enumerate(lifted.frames(LIFTED_SCRIPT)):
        assert np.array_equal(frame, np.asarray(Image.open(tmp_path / "film" / f"frame_0000{number}.png")))
    for refused in (lambda: lifted.edit(LIFTED_SCRIPT), lambda: lifted.save(tmp_path / "lifted.safetensors")):
        with pytest.raises(gn.GainerError, match="a photo in space cannot be"):
            refused()


def test_a_lift_without_its_depth_is_refused(photo: Path) -> None:
    with pytest.raises(gn.GainerError, match=r"nowhere\.npy"):
        gn.lift(photo, depth="nowhere.npy")
    with pytest.raises(gn.GainerError, match="depth"):
        gn.lift(photo, depth=np.ones((3, 3)))


@pytest.mark.parametrize(
    "words", [{"crop": (1, 2, 3)}, {"scale": "2"}, {"dtype": "int8"}, {"scale": 0}, {"crop": (9, 9, 2, 2)}]
)
def test_what_cannot_be_drawn_is_refused(words: dict[str, Any], picture: gn.Picture) -> None:
    with pytest.raises(gn.GainerError):
        picture.render(**words)


@pytest.mark.parametrize("factor", [0, -2])
def test_a_factor_that_reduces_nothing_is_refused(factor: int, colours: np.ndarray) -> None:
    for source in (colours, Image.fromarray(colours)):
        with pytest.raises(gn.GainerError, match=f"cannot be downscaled by {factor}"):
            gn.fit(source, downscale=factor)


def test_dtypes_of_numpy(picture: gn.Picture) -> None:
    for kind in (np.uint8, np.uint16, np.float32):
        assert np.array_equal(picture.render(dtype=kind), picture.render(dtype=np.dtype(kind).name))


def test_a_picture_never_changes(picture: gn.Picture) -> None:
    before = picture.render()
    for values in (picture.gaussians.means, picture.gaussians.features, *(one.means for one in picture.layers)):
        values.mul_(1.5)
    assert np.array_equal(picture.render(), before)
    assert copy.deepcopy(picture) is picture is copy.copy(picture)
    with pytest.raises(gn.GainerError, match="goes to another process by save"):
        pickle.dumps(picture)


@pytest.mark.parametrize("edit", [{"rotate": {"degrees": 5}}, {"select": {**MOVE["select"], "feather": 4}, **TURN}])
def test_edits_in_threads_are_those_of_one_thread(edit: dict[str, Any], picture: gn.Picture) -> None:
    """Derivatives, indices and what else is shared do not mix up."""
    wanted = picture.edit(edit).render()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: picture.edit(edit).render(), range(24)):
            assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda photo: gn.fit(photo, device="tpu"), "device tpu"),
        (lambda photo: gn.fit(photo, downscale=1.5), "downscaled by 1.5"),  # pyright: ignore
        (lambda photo: gn.fit(photo, seconds=-1), "seconds -1: give more than 0"),
        (lambda photo: gn.load(None), "name of a file"),  # pyright: ignore
        (lambda photo: gn.load(photo), "is a picture, .* or fit it first"),
        (lambda photo: gn.lift(photo, depth=None), "name of a file"),  # pyright: ignore
        (lambda photo: gn.lift(photo, depth=np.ones((2, 2)), depth_kind="meters"), "depth, inverse, disparity"),  # pyright: ignore
        (lambda photo: gn.lift(photo, depth=np.ones((2, 2)), background="telea"), "none, inpaint"),  # pyright: ignore
    ],
)
def test_wrong_arguments_are_one_line(call: Any, says: str, photo: Path) -> None:
    with pytest.raises(gn.GainerError, match=says):
        call(photo)


def test_pictures_of_several_layers_are_not_simulated(picture: gn.Picture) -> None:
    cut = picture.edit({"cut": {"line": [[12, 0], [12, 18]], "gap": 4}})
    with pytest.raises(gn.GainerError, match="2 layers"):
        cut.simulate({"bodies": [{"material": "soft"}]})
