import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.depth_files import DepthMap
from gainer_ns.io.image_io import read_picture
from gainer_ns.preparation import preparation
from gainer_ns.preparation.config import DepthConfig, PreparationConfig, SegmentationConfig
from gainer_ns.preparation.preparation import prepare, prepare_mask
from gainer_ns.preparation.prepared import Prepared
from gainer_ns.preparation.prepared_folder import folder_for

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
WIDTH, HEIGHT = 96, 64
DEPTH = np.linspace(2, 4, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
MASK = np.zeros((HEIGHT, WIDTH), np.float32)
MASK[10:50, 20:70] = 1


@pytest.fixture
def picture_path(photo: Path, tmp_path: Path) -> Path:
    path = tmp_path / "me.png"
    path.write_bytes(photo.read_bytes())
    return path


@pytest.fixture
def depth_file(tmp_path: Path) -> Path:
    np.save(tmp_path / "depth.npy", DEPTH)
    return tmp_path / "depth.npy"


@pytest.fixture
def mask_file(tmp_path: Path) -> Path:
    Image.fromarray((MASK * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


@pytest.fixture
def estimates(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    """Stands in for every depth model; the list tells which was asked, and with what focal length."""
    asked = []

    def estimator(config: DepthConfig, device: object) -> Callable[..., DepthMap]:
        def estimate(colours: np.ndarray, focal_length: float | None) -> DepthMap:
            assert colours.shape == (HEIGHT, WIDTH, 3) and colours.dtype.kind == "f"
            asked.append((config.model, focal_length))
            return DepthMap(DEPTH, "metres", focal_length or 77.0, f"{config.model} (pretended)")

        return estimate

    monkeypatch.setattr(preparation, "TransformersDepth", estimator)
    return asked


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for every segmenter; the list tells with which prompts it was asked."""
    asked = []

    def segmenter(config: SegmentationConfig, device: object) -> Callable[..., np.ndarray]:
        def segment(colours: np.ndarray, prompt: Any) -> np.ndarray:
            asked.append(prompt)
            return MASK

        return segment

    monkeypatch.setattr(preparation, "has_pymatting", lambda: False)  # what is kept is tested, not edges
    monkeypatch.setattr(preparation, "load_segmenter", segmenter)
    return asked


def run(path: Path, *, factor: int = 1, folder: Path | None = None, fresh: bool = False, **config: Any) -> Prepared:
    picture = read_picture(path, downscale_factor=factor)
    return prepare(path, picture, PreparationConfig(**config), folder=folder, fresh=fresh)


def refusal(path: Path, **config: Any) -> str:
    with pytest.raises(GainerError) as refused:
        run(path, **config)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_named_files_need_no_network_and_write_nothing(
    picture_path: Path, depth_file: Path, mask_file: Path, estimates: list[Any]
) -> None:
    made = run(picture_path, depth_path=depth_file, mask_path=mask_file, focal_length=90.0)
    np.testing.assert_array_equal(made.depth, DEPTH)
    assert made.mask is not None
    np.testing.assert_array_equal(made.mask, MASK)
    assert (made.focal_length, made.focal_length_by, made.units) == (90, "given", "metres")
    assert not estimates and not folder_for(picture_path).exists()


def test_without_anything_the_whole_picture_has_an_estimated_depth_that_is_kept(
    picture_path: Path, estimates: list[Any]
) -> None:
    made = run(picture_path)
    assert estimates == [(DepthConfig().model, None)]
    assert made.mask is None and made.focal_length == 77
    again = run(picture_path)
    assert len(estimates) == 1, "it was kept"
    np.testing.assert_array_equal(again.depth, DEPTH)
    assert vars(again) | {"depth": 0} == vars(made) | {"depth": 0}


def test_a_focal_length_reaches_the_network_and_goes_before_its_own(picture_path: Path, estimates: list[Any]) -> None:
    assert run(picture_path, focal_length=50.0).focal_length == 50
    assert estimates == [(DepthConfig().model, 50.0)]
    assert run(picture_path).focal_length == 50, "as kept"
    assert run(picture_path, focal_length=60.0).focal_length == 60, "what is named goes before what is kept"
    assert len(estimates) == 1


def test_another_network_by_name_estimates_anew(picture_path: Path, estimates: list[Any]) -> None:
    run(picture_path, depth=DepthConfig(model="other/model"))
    run(picture_path, depth=DepthConfig(model="other/model"))
    run(picture_path)  # the usual one is not a name that anybody gave
    assert [model for model, _ in estimates] == ["other/model"]
    made = run(picture_path, depth=DepthConfig(model="third/model"))
    assert [model for model, _ in estimates] == ["other/model", "third/model"]
    assert made.depth_by == "third/model (pretended)"


def test_another_stretch_estimates_anew(picture_path: Path, estimates: list[Any]) -> None:
    run(picture_path, depth=DepthConfig(far=9.0))
    run(picture_path, depth=DepthConfig(far=9.0))
    run(picture_path)
    assert len(estimates) == 1
    run(picture_path, depth=DepthConfig(far=8.0))
    run(picture_path, depth=DepthConfig(far=8.0, output="inverse"))
    assert len(estimates) == 3


def test_a_folder_of_an_older_version_is_used(picture_path: Path, masks: list[Any], estimates: list[Any]) -> None:
    """It notes the depth model and the prompt, and no hashes."""
    click, other = ((30.0, 30.0),), DepthConfig(model="other/model")
    run(picture_path, click=click, depth=other)
    path = folder_for(picture_path) / "camera.json"
    notes = json.loads(path.read_text())
    notes["requests"] = {"depth_model": "other/model", "prompt": notes["requests"]["prompt"]}
    del notes["sha256"]
    path.write_text(json.dumps(notes))
    run(picture_path)
    run(picture_path, click=click, depth=other)
    assert [len(masks), len(estimates)] == [1, 1]
    run(picture_path, click=((31.0, 30.0),), depth=DepthConfig(model="third/model"))
    assert [len(masks), len(estimates)] == [2, 2]


def test_what_a_person_has_changed_is_not_overwritten(
    picture_path: Path, masks: list[Any], estimates: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    folder, click = folder_for(picture_path), ((30.0, 30.0),)
    run(picture_path, click=click)
    Image.fromarray(np.roll(MASK * 255, 5, 1).astype(np.uint8)).save(folder / "mask.png")
    mended = (folder / "mask.png").read_bytes()
    made = run(picture_path, click=click, depth=DepthConfig(model="other/model"))
    np.testing.assert_array_equal(made.mask, np.roll(MASK, 5, 1))  # pyright: ignore[reportArgumentType]
    assert (folder / "mask.png").read_bytes() == mended, "new depth leaves the mask as it is"
    run(picture_path, click=((31.0, 30.0),))
    assert (folder / "mask_edited1.png").read_bytes() == mended and "mask_edited1.png" in caplog.text
    np.testing.assert_array_equal(run(picture_path).mask, MASK)  # pyright: ignore[reportArgumentType]
    np.save(folder / "depth.npy", 2 * DEPTH)
    run(picture_path, fresh=True)
    np.testing.assert_array_equal(np.load(folder / "depth_edited1.npy"), 2 * DEPTH)
    assert not (folder / "mask.png").exists() and not (folder / "mask_edited2.png").exists()


def test_what_is_kept_stays_what_was_asked_for(picture_path: Path, masks: list[Any], estimates: list[Any]) -> None:
    click, other = ((30.0, 30.0),), DepthConfig(model="other/model")
    run(picture_path, depth=other)
    run(picture_path, click=click)
    run(picture_path, click=click, depth=other)
    assert [len(masks), len(estimates)] == [1, 1], "a new mask leaves the depth that network's"
    run(picture_path, depth=DepthConfig(model="third/model"))
    run(picture_path, click=click)
    assert [len(masks), len(estimates)] == [1, 2], "new depth leaves the mask that of those clicks"


def test_named_files_are_not_taken_for_what_was_asked_for_beside_them(
    picture_path: Path, depth_file: Path, mask_file: Path, masks: list[Any], estimates: list[Any]
) -> None:
    click, other = ((30.0, 30.0),), DepthConfig(model="other/model")
    run(picture_path, depth_path=depth_file, depth=other, click=click)
    assert run(picture_path, depth=other, click=click).depth_by == "other/model (pretended)"
    run(picture_path, mask_path=mask_file, click=click, fresh=True)
    assert run(picture_path, click=click).mask_by == "GrabCut"
    assert len(masks) == 2


def test_photos_that_pillow_thinks_too_large(
    picture_path: Path, estimates: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", WIDTH * HEIGHT // 4)
    assert run(picture_path, factor=2).depth.shape == (HEIGHT // 2, WIDTH // 2)


def test_a_mask_of_clicks_is_kept_until_others_are_made(
    picture_path: Path, depth_file: Path, masks: list[Any], estimates: list[Any]
) -> None:
    click = ((30.0, 30.0),)
    made = run(picture_path, depth_path=depth_file, click=click, exclude=((1.0, 2.0),))
    assert made.mask is not None and made.mask_by == "GrabCut"
    assert masks[0].clicks == click and masks[0].negative_clicks == ((1.0, 2.0),)
    run(picture_path, depth_path=depth_file, click=click, exclude=((1.0, 2.0),))
    run(picture_path)
    assert len(masks) == 1 and not estimates, "mask and depth were kept together"
    run(picture_path, box=(1.0, 1.0, 50.0, 50.0))
    assert len(masks) == 2 and masks[1].box == (1, 1, 50, 50)
    assert not estimates, "the depth stays"


def test_a_named_mask_goes_before_clicks_and_what_is_kept(
    picture_path: Path, depth_file: Path, mask_file: Path, masks: list[Any]
) -> None:
    run(picture_path, depth_path=depth_file, click=((30.0, 30.0),))
    other = mask_file.with_name("other.png")
    Image.fromarray(np.roll(MASK * 255, 5, 1).astype(np.uint8)).save(other)
    made = run(picture_path, mask_path=other, click=((3.0, 3.0),))
    assert made.mask is not None and "other.png" in str(made.mask_by)
    np.testing.assert_array_equal(made.mask, np.roll(MASK, 5, 1))
    assert len(masks) == 1


@pytest.mark.parametrize(("alpha", "by"), [(MASK, "the picture's own alpha"), (np.ones_like(MASK), None)])
def test_alpha_is_a_mask_where_it_says_something(
    photo: Path, tmp_path: Path, depth_file: Path, alpha: np.ndarray, by: str | None
) -> None:
    rgba = np.dstack([np.asarray(Image.open(photo)), (alpha * 255).astype(np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    made = run(tmp_path / "cut.png", depth_path=depth_file)
    assert made.mask_by == by
    if by is not None:
        np.testing.assert_array_equal(made.mask, alpha)  # pyright: ignore[reportArgumentType]


def test_a_reduced_picture_shares_what_was_prepared_for_the_whole(
    picture_path: Path, mask_file: Path, estimates: list[Any]
) -> None:
    half = run(picture_path, factor=2, mask_path=mask_file)
    assert half.depth.shape == (HEIGHT // 2, WIDTH // 2)
    assert half.focal_length == pytest.approx(77 / 2)
    whole = run(picture_path, mask_path=mask_file)
    assert whole.depth.shape == (HEIGHT, WIDTH) and whole.focal_length == 77
    assert len(estimates) == 1
    given = run(picture_path, factor=4, mask_path=mask_file, focal_length=100.0)
    assert given.focal_length == pytest.approx(25), "in pixels of the photo as stored"


def test_fresh_means_anew_and_kept(picture_path: Path, depth_file: Path, estimates: list[Any]) -> None:
    run(picture_path)
    made = run(picture_path, depth_path=depth_file, focal_length=10.0, fresh=True)
    assert made.focal_length == 10 and len(estimates) == 1
    assert run(picture_path).depth_by == "depth.npy", "kept though nothing had to be computed"


def test_another_folder_is_used_where_one_is_named(picture_path: Path, tmp_path: Path, estimates: list[Any]) -> None:
    run(picture_path, folder=tmp_path / "deep" / "elsewhere")
    assert not folder_for(picture_path).exists()
    run(picture_path, folder=tmp_path / "deep" / "elsewhere")
    assert len(estimates) == 1


def test_a_folder_of_another_picture_is_not_taken(picture_path: Path, photo: Path, estimates: list[Any]) -> None:
    run(picture_path)
    other = picture_path.with_suffix(".bmp")
    Image.open(photo).save(other)
    said = refusal(other)
    assert "was prepared for me.png" in said and "--output DIR" in said


def test_a_picture_of_another_size_is_not_taken(picture_path: Path, estimates: list[Any]) -> None:
    run(picture_path)
    Image.new("RGB", (50, 40)).save(picture_path)
    assert "run gainer prepare again" in refusal(picture_path)


def test_a_picture_that_changed_is_said(
    picture_path: Path, estimates: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run(picture_path)
        run(picture_path)
        assert not caplog.records
        Image.new("RGB", (WIDTH, HEIGHT)).save(picture_path)
        run(picture_path)
    assert "has changed" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_said_before_work_begins(picture_path: Path, estimates: list[Any]) -> None:
    picture_path.parent.chmod(0o500)
    try:
        said = refusal(picture_path)
    finally:
        picture_path.parent.chmod(0o700)
    assert "--data DIR" in said and not estimates


def test_a_place_that_is_no_folder_is_said_before_work_begins(picture_path: Path, estimates: list[Any]) -> None:
    folder_for(picture_path).touch()
    said = refusal(picture_path)
    assert f"run gainer prepare {picture_path} --output DIR and train with --data DIR" in said
    assert not estimates


def test_the_picture_itself_is_never_overwritten(photo: Path, tmp_path: Path, depth_file: Path) -> None:
    path = tmp_path / "mask.png"
    path.write_bytes(photo.read_bytes())
    with pytest.raises(GainerError, match="overwritten"):
        run(path, depth_path=depth_file, folder=tmp_path, fresh=True)
    assert path.read_bytes() == photo.read_bytes()


def test_what_fails_leaves_nothing_behind(picture_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise GainerError("no model on this machine")

    monkeypatch.setattr(preparation, "TransformersDepth", missing)
    assert "no model" in refusal(picture_path)
    assert not folder_for(picture_path).exists()


def test_what_was_there_survives_a_failure(
    picture_path: Path, estimates: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(picture_path)
    before = {path.name: path.read_bytes() for path in folder_for(picture_path).iterdir()}

    def missing(*_: object) -> None:
        raise GainerError("no model on this machine")

    monkeypatch.setattr(preparation, "TransformersDepth", missing)
    assert "no model" in refusal(picture_path, depth=DepthConfig(model="other"))
    assert {path.name: path.read_bytes() for path in folder_for(picture_path).iterdir()} == before


@pytest.mark.parametrize("focal_length", [0.0, -1.0, float("nan"), float("inf")])
def test_no_focal_length_is_said_before_work_begins(
    picture_path: Path, estimates: list[Any], focal_length: float
) -> None:
    assert "positive number of pixels" in refusal(picture_path, focal_length=focal_length)
    assert not estimates


@pytest.mark.parametrize("device", ["toaster", pytest.param("cuda", marks=NO_CUDA)])
def test_a_device_that_is_not_there_is_one_line(picture_path: Path, estimates: list[Any], device: str) -> None:
    with pytest.raises(GainerError, match="give cpu"):
        prepare(picture_path, read_picture(picture_path), PreparationConfig(), device=device)
    assert not estimates


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_nothing_or_everything_is_refused(picture_path: Path, depth_file: Path, value: int) -> None:
    path = picture_path.with_name("mask.png")
    Image.new("L", (WIDTH, HEIGHT), value).save(path)
    assert str(path) in refusal(picture_path, depth_path=depth_file, mask_path=path)


def test_depth_beside_the_mask_is_refused(picture_path: Path, depth_file: Path, mask_file: Path) -> None:
    np.save(depth_file, np.where(MASK > 0, 0, DEPTH))
    assert "no depth is known inside the mask" in refusal(picture_path, depth_path=depth_file, mask_path=mask_file)


def test_a_mask_alone(picture_path: Path, tmp_path: Path, masks: list[Any], depth_file: Path) -> None:
    picture = read_picture(picture_path)
    mask, by, *_ = prepare_mask(picture_path, picture, PreparationConfig(box=(1.0, 1.0, 50.0, 50.0)))
    assert by == "GrabCut"
    np.testing.assert_array_equal(mask, MASK)
    folder = folder_for(picture_path)
    assert sorted(path.name for path in folder.iterdir()) == ["mask.png", "preview.jpg"]
    made = run(picture_path, mask_path=folder / "mask.png", depth_path=depth_file)
    np.testing.assert_array_equal(made.mask, MASK)  # pyright: ignore[reportArgumentType]
    with pytest.raises(GainerError, match="--click"):
        prepare_mask(picture_path, picture, PreparationConfig(), folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    run(picture_path, depth_path=depth_file, fresh=True)
    with pytest.raises(GainerError, match="holds depth too"):
        prepare_mask(picture_path, picture, PreparationConfig(box=(1.0, 1.0, 50.0, 50.0)))


def test_notes_of_a_preparation_name_what_made_it(picture_path: Path, masks: list[Any], estimates: list[Any]) -> None:
    run(picture_path, click=((30.0, 30.0),))
    notes = json.loads((folder_for(picture_path) / "camera.json").read_text())
    assert notes["picture"] == "me.png" and (notes["width"], notes["height"]) == (WIDTH, HEIGHT)
    assert notes["depth_by"] == f"{DepthConfig().model} (pretended)" and notes["mask_by"] == "GrabCut"
    assert notes["focal_length_px"] == 77 and notes["units"] == "metres"


def test_masks_that_nobody_has_noted_are_set_aside(picture_path: Path, masks: list[Any], estimates: list[Any]) -> None:
    folder = folder_for(picture_path)
    folder.mkdir()
    own = b"drawn by hand"
    (folder / "mask.png").write_bytes(own)
    picture = read_picture(picture_path)
    config = PreparationConfig(click=((5.0, 5.0),))
    preparation.prepare_mask(picture_path, picture, config)
    assert (folder / "mask_edited1.png").read_bytes() == own
    preparation.prepare_mask(picture_path, picture, config)  # the same again
    run(picture_path, click=((5.0, 5.0),))
    assert sorted(path.name for path in folder.glob("mask*")) == ["mask.png", "mask_edited1.png"]


def test_another_programs_notes_are_left_alone(picture_path: Path, estimates: list[Any]) -> None:
    folder = folder_for(picture_path)
    folder.mkdir()
    (folder / "camera.json").write_text('{"my": 1}')
    with pytest.raises(GainerError, match="another program"):
        run(picture_path, fresh=True)
    assert (folder / "camera.json").read_text() == '{"my": 1}' and not (folder / "depth.npy").exists()
