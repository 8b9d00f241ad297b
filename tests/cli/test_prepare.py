import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Gainer = Callable[..., None]
Refusal = Callable[..., str]
WIDTH, HEIGHT = 96, 64


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A red ball on a striped ground, and its depth in a file of millimetres beside it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ball = np.hypot(x - 40, y - 30) < 18
    ground = np.stack([x * 0, 90 + 60 * (x // 8 % 2), 120 + y], axis=2)
    Image.fromarray(np.where(ball[..., None], (200, 30, 20), ground).astype(np.uint8)).save(tmp_path / "ball.png")
    Image.fromarray(np.where(ball, 1000, 3000).astype(np.uint16)).save(tmp_path / "millimetres.png")
    Image.fromarray((ball * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path / "ball.png"


def test_box_and_depth_become_a_folder(gainer: Gainer, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gainer("prepare", scene, "--box", 18, 8, 62, 52, "--depth-path", scene.with_name("millimetres.png"))
    folder = scene.with_name("ball_lift")
    names = {path.name for path in folder.iterdir()} - {"cutout.png"}  # which is there where pymatting is
    assert names == {"camera.json", "depth.npy", "mask.png", "preview.jpg"}
    mask, ball = (np.asarray(Image.open(path)) > 127 for path in (folder / "mask.png", scene.with_name("mask.png")))
    assert (mask & ball).sum() / (mask | ball).sum() > 0.9
    np.testing.assert_allclose(np.load(folder / "depth.npy")[ball], 1, rtol=1e-6)
    notes = json.loads((folder / "camera.json").read_text())
    assert notes["focal_length_px"] == pytest.approx(1.2 * WIDTH) and "assumed" in notes["focal_length_by"]
    said = capsys.readouterr().out
    assert f"Wrote {folder}" in said and f"ns-train gainer-lift --data {scene}" in said
    assert "metres" in said and "115.2 pixels" in said


def test_clicks_and_exclusions_are_pairs(gainer: Gainer, scene: Path, tmp_path: Path) -> None:
    depth = scene.with_name("millimetres.png")
    folder = tmp_path / "deep" / "here"
    options = ["--click", 40, 30, 35, 25, "--exclude", 80, 10, 5, 60, "--focal-length", 90, "--output", folder]
    gainer("prepare", scene, "--depth-path", depth, *options)
    notes = json.loads((folder / "camera.json").read_text())
    assert notes["focal_length_px"] == 90
    prompt = notes["requests"]["prompt"]
    assert (prompt["click"], prompt["exclude"], prompt["box"]) == ([[40, 30], [35, 25]], [[80, 10], [5, 60]], None)
    mask, ball = (np.asarray(Image.open(path)) > 127 for path in (folder / "mask.png", scene.with_name("mask.png")))
    assert (mask & ball).sum() / (mask | ball).sum() > 0.8
    assert not scene.with_name("ball_lift").exists()


def test_again_is_anew(gainer: Gainer, scene: Path) -> None:
    depth = scene.with_name("millimetres.png")
    gainer("prepare", scene, "--depth-path", depth, "--mask", scene.with_name("mask.png"))
    gainer("prepare", scene, "--depth-path", depth, "--depth-scale", 0.002)
    folder = scene.with_name("ball_lift")
    assert not (folder / "mask.png").exists()
    assert np.load(folder / "depth.npy").max() == pytest.approx(6)


def test_a_mask_alone_names_the_next_command(gainer: Gainer, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gainer("prepare", scene, "--box", 18, 8, 62, 52, "--no-depth")
    folder = scene.with_name("ball_lift")
    assert {path.name for path in folder.iterdir()} - {"cutout.png"} == {"mask.png", "preview.jpg"}
    said = capsys.readouterr().out
    assert f"--data {scene} --pipeline.datamanager.mask-path {folder / 'mask.png'}" in said


def test_the_next_command_can_be_pasted(gainer: Gainer, scene: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = scene.rename(scene.with_name("my ball.png"))
    gainer("prepare", named, "--depth-path", named.with_name("millimetres.png"))
    assert f"--data '{named}'" in capsys.readouterr().out


def test_without_a_model_it_says_how(refusal: Refusal, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(scene.parent / "cache"))
    said = refusal("prepare", scene, "--depth.model", "nobody/nothing")
    assert "nobody/nothing is not on this machine" in said
    assert "--depth-path FILE" in said and "--depth.download True" in said and "pipeline" not in said
    assert not scene.with_name("ball_lift").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--box", 1, 1, 500, 50], "box"),
        (["--click", 500, 5], "click"),
        (["--exclude", 5, 5], "--click"),
        (["--focal-length", 0], "positive number of pixels"),
        (["--depth-scale", 0], "0"),
        (["--mask", "nowhere.png"], "nowhere.png"),
        (["--no-depth"], "--no-depth"),
        (["--device", "toaster"], "toaster"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(refusal: Refusal, scene: Path, options: list[object], says: str) -> None:
    assert says in refusal("prepare", scene, "--depth-path", scene.with_name("millimetres.png"), *options)
    assert not scene.with_name("ball_lift").exists()


def test_a_mask_alone_of_nothing_is_one_line(refusal: Refusal, scene: Path) -> None:
    assert "--click X Y" in refusal("prepare", scene, "--no-depth")


def test_no_picture_is_one_line(refusal: Refusal, tmp_path: Path) -> None:
    assert "does not exist" in refusal("prepare", tmp_path / "gone.png")


def test_a_label_is_lifted(gainer: Gainer, refusal: Refusal, scene: Path) -> None:
    """From a palette whose first colours are dark, as segmentation tools write it."""
    ball = np.asarray(Image.open(scene.with_name("mask.png"))) > 127
    labels = ball.astype(np.uint8)
    labels[60:, :4] = 2
    image = Image.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(scene.with_name("labels.png"))
    words = [
        "prepare",
        scene,
        "--depth-path",
        scene.with_name("millimetres.png"),
        "--mask",
        scene.with_name("labels.png"),
    ]
    assert refusal(*words).endswith("such as label: 1 (--mask-label)")
    gainer(*words, "--mask-label", 1)
    written = np.asarray(Image.open(scene.with_name("ball_lift") / "mask.png"))
    np.testing.assert_array_equal(written, np.where(ball, 255, 0))


def test_disparity_is_turned_into_depth(gainer: Gainer, refusal: Refusal, scene: Path, tmp_path: Path) -> None:
    """A ball three times as near as the ground has three times its disparity."""
    ball = np.asarray(Image.open(scene.with_name("mask.png"))) > 127
    disparity = scene.with_name("disparity.png")
    Image.fromarray(np.where(ball, 30000, 10000).astype(np.uint16)).save(disparity)
    options = ["--depth.kind", "disparity", "--output", tmp_path / "lift"]
    gainer("prepare", scene, "--depth-path", disparity, *options)
    depth = np.load(tmp_path / "lift" / "depth.npy")
    np.testing.assert_allclose(depth, np.where(ball, 1, 3), rtol=1e-6)
    assert json.loads((tmp_path / "lift" / "camera.json").read_text())["units"] == "relative"
    assert "depth.kind: says what a depth file holds" in refusal("prepare", scene, *options)


matted = pytest.mark.skipif(importlib.util.find_spec("pymatting") is None, reason="needs the extra matte")


@matted
def test_a_mask_gets_a_soft_edge_and_a_cut_out(
    gainer: Gainer, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ball = np.asarray(Image.open(scene.with_name("mask.png"))) > 127
    grown = scene.with_name("grown.png")
    wide = ball | np.roll(ball, 2, axis=0) | np.roll(ball, -2, axis=1)
    Image.fromarray((wide * 255).astype(np.uint8)).save(grown)
    gainer("prepare", scene, "--mask", grown, "--no-depth", "--matte", "--output", tmp_path / "out")
    assert "cutout.png" in capsys.readouterr().out
    cut = np.asarray(Image.open(tmp_path / "out" / "cutout.png"))
    alpha = np.asarray(Image.open(tmp_path / "out" / "mask.png")).astype(float)
    assert np.abs(alpha / alpha.max() - ball).mean() < 0.3 * np.abs(wide.astype(float) - ball).mean()
    shown = cut[..., 3] > 25
    assert np.abs(cut[shown][:, :3].astype(int) - (200, 30, 20)).mean() < 12
    gainer("prepare", scene, "--mask", grown, "--no-depth", "--output", tmp_path / "out")
    assert not (tmp_path / "out" / "cutout.png").exists()


@matted
def test_clicks_and_boxes_get_soft_edges_unless_told_otherwise(gainer: Gainer, scene: Path, tmp_path: Path) -> None:
    for options, is_cut in (((), True), (("--hard-edge",), False)):
        folder = tmp_path / f"out{len(options)}"
        gainer("prepare", scene, "--box", 18, 8, 62, 52, "--no-depth", "--output", folder, *options)
        assert (folder / "cutout.png").exists() == is_cut


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--matte"], "matte: there is no mask; add one, clicks or a box (--mask-path FILE, --click X Y)"),
        (["--matte-width", 3], "matte: there is no mask"),
        (["--box", 8, 8, 62, 52, "--matte-width", 0], "matte width 0: is from 1 to 100 pixels"),
        (["--box", 8, 8, 62, 52, "--matte", "--hard-edge"], "hard edge: goes with no matte"),
    ],
)
def test_soft_edges_of_nothing_are_refused(refusal: Refusal, scene: Path, options: list[object], said: str) -> None:
    assert said in refusal("prepare", scene, "--no-depth", *options)


@matted
@pytest.mark.parametrize(("value", "said"), [(0, "is empty"), (255, "is the whole picture")])
def test_masks_without_an_edge_are_refused(refusal: Refusal, scene: Path, value: int, said: str) -> None:
    mask = scene.with_name("flat.png")
    Image.fromarray(np.full((HEIGHT, WIDTH), value, np.uint8)).save(mask)
    assert said in refusal("prepare", scene, "--no-depth", "--matte", "--mask", mask)
    Image.fromarray(np.full((HEIGHT, WIDTH + 1), 255, np.uint8)).save(mask)
    assert "the picture 96x64" in refusal("prepare", scene, "--no-depth", "--matte", "--mask", mask)
