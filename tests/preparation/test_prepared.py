import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture
from gainer_ns.preparation.prepared import Prepared, load_prepared, save_prepared
from gainer_ns.preparation.prepared_folder import CAMERA, DEPTH, MASK, PREVIEW, folder_for, resolve_source
from gainer_ns.preparation.preview import preview
from gainer_ns.preparation.reduction import reduced_depth, reduction_factor

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def prepared() -> Prepared:
    """A near disc before a far wall, with a hole in what is known, and a soft mask of the disc."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = np.hypot(x - 40, y - 30)
    depth = np.where(radius < 20, 2.0, 5.0 + 0.01 * x).astype(np.float32)
    depth[:10, 80:] = 0
    mask = np.clip(20.5 - radius, 0, 1).astype(np.float32)
    return Prepared(depth, mask, 120.5, "metres", "a network", "a person", "a guess")


def colours(path: Path) -> np.ndarray:
    return read_picture(path).colours()


def edit_camera(folder: Path, **changes: Any) -> None:
    notes = json.loads((folder / CAMERA).read_text()) | changes
    (folder / CAMERA).write_text(json.dumps({name: value for name, value in notes.items() if value != "gone"}))


@pytest.fixture
def folder(prepared: Prepared, photo: Path, tmp_path: Path) -> Path:
    save_prepared(prepared, tmp_path / "photo_lift", photo, colours(photo))
    return tmp_path / "photo_lift"


def test_what_is_saved_is_loaded(prepared: Prepared, folder: Path) -> None:
    loaded = load_prepared(folder, WIDTH, HEIGHT)
    np.testing.assert_array_equal(loaded.depth, prepared.depth)
    assert loaded.mask is not None and prepared.mask is not None
    np.testing.assert_allclose(loaded.mask, prepared.mask, atol=0.5 / 65535)
    for name in ("focal_length", "units", "depth_by", "mask_by", "focal_length_by", "width", "height"):
        assert getattr(loaded, name) == getattr(prepared, name)
    assert sorted(path.name for path in folder.iterdir()) == sorted([CAMERA, DEPTH, MASK, PREVIEW])


@pytest.mark.parametrize(("steps", "mode"), [(1, "L"), (255, "L"), (1000, "I;16")])
def test_masks_take_as_many_bits_as_they_need(
    prepared: Prepared, photo: Path, tmp_path: Path, steps: int, mode: str
) -> None:
    mask = (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % (steps + 1) / steps).astype(np.float32)
    save_prepared(replace(prepared, mask=mask), tmp_path, photo, colours(photo))
    assert Image.open(tmp_path / MASK).mode == mode
    loaded = load_prepared(tmp_path, WIDTH, HEIGHT).mask
    assert loaded is not None
    np.testing.assert_allclose(loaded, mask, atol=1e-6 if mode == "L" else 0.51 / 65535)


def test_without_a_mask_an_old_one_goes(prepared: Prepared, folder: Path, photo: Path) -> None:
    save_prepared(replace(prepared, mask=None, mask_by=None), folder, photo, colours(photo))
    assert not (folder / MASK).exists()
    assert load_prepared(folder, WIDTH, HEIGHT).mask is None


def test_a_mask_that_a_person_adds_or_replaces_counts(
    prepared: Prepared, folder: Path, photo: Path, tmp_path: Path
) -> None:
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[5:20, 5:20] = 255
    save_prepared(replace(prepared, mask=None, mask_by=None), tmp_path / "plain_lift", photo, colours(photo))
    for place, by in ((folder, "a person"), (tmp_path / "plain_lift", "file mask.png")):
        Image.fromarray(drawn).save(place / MASK)
        loaded = load_prepared(place, WIDTH, HEIGHT)
        np.testing.assert_array_equal(loaded.mask, drawn / 255)  # pyright: ignore[reportArgumentType]
        assert loaded.mask_by == by


def test_the_preview_shows_mask_and_depth(prepared: Prepared, folder: Path, photo: Path) -> None:
    shown = np.asarray(Image.open(folder / PREVIEW)).astype(float)
    assert shown.shape == (HEIGHT, 2 * WIDTH + 8, 3)
    source = colours(photo) * 255
    inside = (slice(25, 36), slice(35, 46))
    assert np.abs(shown[inside] - source[inside]).mean() < 12, "unchanged inside of the mask, but for JPEG"
    outside = (slice(55, 64), slice(70, 90))
    assert shown[outside].mean() < 0.6 * source[outside].mean(), "dimmed outside"
    depth = shown[:, WIDTH + 8 :].mean(axis=2)
    assert depth[30, 40] > depth[60, 5] + 50, "near is brighter than far"
    np.testing.assert_allclose(shown[2, WIDTH + 8 + 88], 64, atol=6)  # unknown is grey


@pytest.mark.filterwarnings("error")
def test_the_preview_bears_any_depth() -> None:
    depth = np.array([[1e-40, 1e38], [1.0, 0.0]], np.float32)
    assert np.isfinite(preview(np.zeros((2, 2, 3), np.float32), None, depth)).all()


def test_a_folder_that_broke_off_halfway_is_none(
    prepared: Prepared, folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(*_: object) -> None:
        raise GainerError("no space left")

    monkeypatch.setattr("gainer_ns.preparation.prepared.write_picture", breaks_off)
    with pytest.raises(GainerError, match="no space left"):
        save_prepared(prepared, folder, photo, colours(photo))
    with pytest.raises(GainerError, match=r"without camera\.json"):
        resolve_source(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "version"),
        ({"version": "gone"}, "version"),
        ({"focal_length_px": "gone"}, "focal_length_px is wrong .Field required"),
        ({"width": "gone"}, "width is wrong .Field required"),
        ({"mask_by": "gone"}, "mask_by is wrong .Field required"),
        ({"depth_by": None}, "depth_by"),
        ({"focal_length_px": "many"}, "focal_length_px"),
        ({"focal_length_px": True}, "focal_length_px"),
        ({"focal_length_px": 0}, "positive"),
        ({"focal_length_px": float("nan")}, "positive"),
        ({"units": "feet"}, "units"),
        ({"width": 0}, "0 x 64"),
        ({"width": 97}, "97 x 64"),
        ({"width": 192}, "192 x 64"),
    ],
    ids=str,
)
def test_strange_notes_are_one_line(folder: Path, changes: dict[str, Any], says: str) -> None:
    edit_camera(folder, **changes)
    with pytest.raises(GainerError, match=says) as refused:
        load_prepared(folder, WIDTH, HEIGHT)
    assert "\n" not in str(refused.value) and str(folder) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"null"])
def test_notes_that_are_no_notes_are_one_line(folder: Path, content: bytes) -> None:
    (folder / CAMERA).write_bytes(content)
    with pytest.raises(GainerError, match="run gainer prepare again") as refused:
        load_prepared(folder, WIDTH, HEIGHT)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [DEPTH, MASK, CAMERA])
def test_a_missing_file_is_one_line(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(GainerError, match=name) as refused:
        load_prepared(folder, WIDTH, HEIGHT)
    assert "gainer prepare" in str(refused.value)


@pytest.mark.parametrize("size", [(WIDTH + 1, HEIGHT), (2 * WIDTH, 2 * HEIGHT), (WIDTH // 2, HEIGHT), (HEIGHT, WIDTH)])
def test_another_size_is_one_line(folder: Path, size: tuple[int, int]) -> None:
    with pytest.raises(GainerError, match="gainer prepare"):
        load_prepared(folder, *size)


def test_reduced_it_fits_the_reduced_picture(prepared: Prepared, folder: Path, photo: Path) -> None:
    picture = read_picture(photo, downscale_factor=5)
    half = load_prepared(folder, picture.width, picture.height)
    assert half.depth.shape == half.mask.shape == (12, 19)  # pyright: ignore[reportOptionalMemberAccess]
    assert half.focal_length == pytest.approx(prepared.focal_length * 19 / 96)
    assert half.mask is not None and prepared.mask is not None
    assert half.mask.mean() == pytest.approx(prepared.mask.mean(), abs=1e-3)
    assert half.depth[6, 8] == 2 and half.depth[0, 18] == 0


@given(
    seed=st.integers(0, 1000),
    factor=st.integers(2, 5),
    size=st.tuples(st.integers(5, 23), st.integers(5, 23)),
    share=st.floats(0, 1),
)
def test_reduced_depth_is_one_of_its_pixels_depths(seed: int, factor: int, size: tuple[int, int], share: float) -> None:
    random = np.random.default_rng(seed)
    width, height = size
    depth = random.uniform(1, 9, (height, width)).astype(np.float32) * (random.random((height, width)) < share)
    small = width // factor, height // factor
    found = reduction_factor(size, small)
    assert found is not None and (max(1, width // found), max(1, height // found)) == small  # never of no pixels
    reduced = reduced_depth(depth, factor, small)
    assert reduced.shape == small[::-1]
    assert set(np.unique(reduced)) <= {0.0, *np.unique(depth)}, "nothing is mixed"
    if width % factor == height % factor == 0:
        blocks = depth.reshape(small[1], factor, small[0], factor).swapaxes(1, 2).reshape(*reduced.shape, -1)
        for block, value in zip(blocks.reshape(-1, factor**2), reduced.flat, strict=True):
            known = np.sort(block[block > 0])
            expected = known[(len(known) - 1) // 2] if 2 * len(known) >= len(block) else 0
            assert value == expected


def test_the_folder_lies_beside_its_picture() -> None:
    assert folder_for(Path("a/photo.jpg")) == Path("a/photo_lift")
    assert folder_for(Path("a/photo.of.me.png")) == Path("a/photo.of.me_lift")


def test_a_picture_is_itself(photo: Path) -> None:
    assert resolve_source(photo) == (photo, None)


@pytest.mark.parametrize("place", ["beside", "inside", "elsewhere"])
def test_a_folders_picture_is_found(prepared: Prepared, photo: Path, tmp_path: Path, place: str) -> None:
    folders = {"beside": tmp_path, "inside": tmp_path / "new", "elsewhere": tmp_path / "far" / "away"}
    source = folders[place] / "me.png"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(photo.read_bytes())
    save_prepared(prepared, tmp_path / "new", source, colours(photo))
    assert resolve_source(tmp_path / "new") == (source, tmp_path / "new")
    source.unlink()
    with pytest.raises(GainerError, match=r"me\.png is gone"):
        resolve_source(tmp_path / "new")


def test_a_folder_that_moved_with_its_picture_is_whole(
    prepared: Prepared, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "me.png").write_bytes(photo.read_bytes())
    save_prepared(prepared, old / "me_lift", old / "me.png", colours(photo))
    old.rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new" / "me_lift")
    assert resolve_source(Path(".")) == (tmp_path / "new" / "me.png", Path("."))


def test_another_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(GainerError, match=r"without camera\.json; name a picture"):
        resolve_source(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(prepared: Prepared, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GainerError, match="cannot be") as refused:
        save_prepared(prepared, tmp_path / "file" / "photo_lift", photo, colours(photo))
    assert "\n" not in str(refused.value)


def test_the_summary_says_what_counts(prepared: Prepared) -> None:
    said = " ".join(prepared.summary())
    for words in ("2 to 2 metres", "100.0%", "a network", "20.5%", "a person", "120.5 pixels", "a guess"):
        assert words in said
    assert "whole photo" in " ".join(replace(prepared, mask=None, mask_by=None).summary())
