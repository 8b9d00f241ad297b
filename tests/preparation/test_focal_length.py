import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from gainer_ns.errors import GainerError
from gainer_ns.preparation.focal_length import FocalLength, find_focal_length, focal_length_from_exif

SIZE = 600, 400
FILM, LENGTH = ExifTags.Base.FocalLengthIn35mmFilm, ExifTags.Base.FocalLength
DENSITY, UNIT = ExifTags.Base.FocalPlaneXResolution, ExifTags.Base.FocalPlaneResolutionUnit
NOTED_WIDTH, NOTED_HEIGHT = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight


def photo_with(path: Path, notes: dict[Any, Any], size: tuple[int, int] = SIZE) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "a camera"  # Pillow leaves out notes whose first part is empty
    exif.get_ifd(ExifTags.IFD.Exif).update(notes)
    Image.new("RGB", size).save(path, exif=exif)
    return path


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp"])
def test_35_mm_of_a_3_to_2_photo_are_36_mm_of_its_longer_side(tmp_path: Path, name: str) -> None:
    found = focal_length_from_exif(photo_with(tmp_path / name, {FILM: 50}), *SIZE)
    assert found is not None
    assert found.pixels == pytest.approx(600 * 50 / 36)
    assert "EXIF" in found.found_by and "50 mm" in found.found_by


def test_other_shapes_go_by_the_diagonal_and_both_ways_up_alike(tmp_path: Path) -> None:
    path = photo_with(tmp_path / "photo.jpg", {FILM: 28}, (400, 300))
    found = [focal_length_from_exif(path, *size) for size in ((400, 300), (300, 400))]
    assert found[0] == found[1] and found[0] is not None
    assert found[0].pixels == pytest.approx(500 * 28 / math.hypot(36, 24))


@pytest.mark.parametrize(("unit", "per_mm"), [(None, 1 / 25.4), (2, 1 / 25.4), (3, 0.1), (4, 1.0), (5, 1000.0)])
def test_without_it_the_sensors_pixels_tell(tmp_path: Path, unit: int | None, per_mm: float) -> None:
    notes = {LENGTH: 2.5, DENSITY: IFDRational(round(200 / per_mm * 1000), 1000)}
    notes |= {} if unit is None else {UNIT: unit}
    found = focal_length_from_exif(photo_with(tmp_path / "photo.jpg", notes), *SIZE)
    assert found is not None
    assert found.pixels == pytest.approx(2.5 * 200, rel=1e-3)


def test_a_photo_that_was_resized_since_has_another(tmp_path: Path) -> None:
    notes = {LENGTH: 5.0, DENSITY: 1000.0, UNIT: 4, NOTED_WIDTH: 4000, NOTED_HEIGHT: 6000}
    found = focal_length_from_exif(photo_with(tmp_path / "photo.jpg", notes), *SIZE)
    assert found is not None
    assert found.pixels == pytest.approx(5000 * 600 / 6000)


@pytest.mark.parametrize(
    "notes",
    [
        {},
        {FILM: 0},
        {FILM: 1},
        {FILM: 65535},
        {LENGTH: 5.0},
        {DENSITY: 1000.0},
        {LENGTH: 0.0, DENSITY: 1000.0},
        {LENGTH: IFDRational(5, 0), DENSITY: 1000.0},
        {LENGTH: 5.0, DENSITY: IFDRational(0, 0)},
        {LENGTH: 5.0, DENSITY: 1000.0, UNIT: 1},
        {LENGTH: 5.0, DENSITY: 1.0, UNIT: 4},
        {LENGTH: 5.0, DENSITY: 1e6, UNIT: 4},
    ],
    ids=str,
)
def test_nonsense_is_ignored(tmp_path: Path, notes: dict[int, Any]) -> None:
    assert focal_length_from_exif(photo_with(tmp_path / "photo.jpg", notes), *SIZE) is None


def test_nonsense_leaves_room_for_sense(tmp_path: Path) -> None:
    notes = {FILM: 0, LENGTH: 5.0, DENSITY: 100.0, UNIT: 4}
    found = focal_length_from_exif(photo_with(tmp_path / "photo.jpg", notes), *SIZE)
    assert found is not None
    assert found.pixels == pytest.approx(500)


def test_damaged_notes_are_as_good_as_none(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", SIZE).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert focal_length_from_exif(path, *SIZE) is None
    path.write_bytes(np.random.default_rng(0).bytes(100))
    assert focal_length_from_exif(path, *SIZE) is None


def test_the_best_that_is_known_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = photo_with(tmp_path / "photo.jpg", {FILM: 36})
    known = FocalLength(2.0, "a network")
    assert find_focal_length(path, *SIZE, given=1, known=known) == FocalLength(1.0, "given")
    assert find_focal_length(path, *SIZE, known=known) == known
    assert find_focal_length(path, *SIZE).pixels == pytest.approx(600 * math.sqrt(13 / 9) * 36 / math.hypot(36, 24))
    assert not caplog.records
    plain = photo_with(tmp_path / "plain.png", {}, (400, 600))
    assert find_focal_length(plain, 400, 600).pixels == pytest.approx(720)
    assert "focal-length" in caplog.text and "720" in caplog.text and "plain.png" in caplog.text
    assert find_focal_length(plain, 400, 600).pixels == pytest.approx(720)
    assert len(caplog.records) == 1, "said once"


def test_photos_that_pillow_thinks_too_large_have_notes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photo_with(tmp_path / "photo.jpg", {FILM: 50})
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE[0] * SIZE[1] // 4)
    assert focal_length_from_exif(path, *SIZE) is not None


@pytest.mark.parametrize("given", [0, -5, math.nan, math.inf, -math.inf])
def test_what_is_no_focal_length_is_refused(tmp_path: Path, given: float) -> None:
    with pytest.raises(GainerError, match="positive number of pixels") as refused:
        find_focal_length(tmp_path / "any.png", *SIZE, given=given)
    assert "\n" not in str(refused.value)
