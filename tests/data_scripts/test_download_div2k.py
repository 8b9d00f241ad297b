"""DIV2K's script, from an archive of the published layout, made here, to reduced images."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Refusal = Callable[..., str]
BICUBIC = Image.Resampling.BICUBIC


def encoded(size: tuple[int, int], seed: int) -> bytes:
    """A PNG with detail at every scale, so that filters differ."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


IMAGES = {"0801.png": encoded((60, 36), 0), "0810.png": encoded((36, 48), 1), "0900.png": encoded((24, 24), 2)}
NAMED = ["--images", "0801", "810", "900"]


def zipped(images: dict[str, bytes], folder: str = "DIV2K_valid_HR") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in images.items():
            archive.writestr(f"{folder}/{name}", content)
            archive.writestr(f"__MACOSX/{folder}/{name}", b"not a picture")
        archive.writestr(f"{folder}/read.me", b"not wanted")
    return data.getvalue()


@pytest.fixture
def div2k() -> Callable[..., None]:
    """Runs the script."""
    import download_div2k
    from commands import run

    def call(*words: object) -> None:
        run(download_div2k.DownloadDiv2k, list(map(str, words)))

    return call


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive.zip"
    path.write_bytes(zipped(IMAGES))
    return path


def found(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def reduced(name: str, factor: int) -> np.ndarray:
    with Image.open(io.BytesIO(IMAGES[name])) as image:
        return np.asarray(image.resize((image.width // factor, image.height // factor), BICUBIC))


def test_images_are_unpacked_and_reduced_by_2_and_3(div2k: Callable[..., None], archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    div2k("--archive", archive, "--output", out, *NAMED)
    stems = [name.removesuffix(".png") for name in IMAGES]
    expected = {f"hr/{stem}.png" for stem in stems} | {f"x{f}/{stem}x{f}.png" for stem in stems for f in (2, 3)}
    assert found(out) == expected
    for name, content in IMAGES.items():
        assert (out / "hr" / name).read_bytes() == content
        for factor in (2, 3):
            with Image.open(out / f"x{factor}" / name.replace(".png", f"x{factor}.png")) as image:
                assert (image.format, image.mode) == ("PNG", "RGB")
                np.testing.assert_array_equal(np.asarray(image), reduced(name, factor))


def test_reductions_are_antialiased(tmp_path: Path) -> None:
    """Of a checkerboard that alternates at each pixel nothing but gray may be left."""
    import download_div2k as script

    board = np.indices((24, 24)).sum(0) % 2 * 255
    Image.fromarray(np.repeat(board[..., None], 3, 2).astype(np.uint8)).save(tmp_path / "board.png")
    script.reduce(tmp_path / "board.png", {2: tmp_path / "2.png"})
    with Image.open(tmp_path / "2.png") as image:
        inside = np.asarray(image).astype(int)[2:-2, 2:-2]
    assert np.abs(inside - 127.5).max() < 2


def test_images_and_factors_can_be_chosen(div2k: Callable[..., None], archive: Path, tmp_path: Path) -> None:
    div2k("--archive", archive, "--output", tmp_path / "out", "--images", "0810", "--factors", "4")
    assert found(tmp_path / "out") == {"hr/0810.png", "x4/0810x4.png"}


def test_what_is_finished_stays_and_the_rest_is_written(
    div2k: Callable[..., None], archive: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = "--archive", archive, "--output", out, *NAMED
    div2k(*arguments)
    before = {name: (out / name).stat().st_ino for name in found(out)}
    (out / "x2" / "0801x2.png").unlink()
    (out / "x3" / "0810x3.png").write_bytes(b"cut")
    div2k(*arguments)
    after = {name: (out / name).stat().st_ino for name in found(out)}
    rewritten = {"x2/0801x2.png", "x3/0810x3.png"}
    assert {name for name in before if after[name] == before[name]} >= set(before) - rewritten
    for name, factor in (("0801", 2), ("0810", 3)):
        with Image.open(out / f"x{factor}" / f"{name}x{factor}.png") as image:
            np.testing.assert_array_equal(np.asarray(image), reduced(f"{name}.png", factor))


def test_a_reduction_is_written_whole_or_not_at_all(
    div2k: Callable[..., None], archive: Path, refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(self: Image.Image, file: Any, *_: object) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    said = refusal(div2k, "--archive", archive, "--output", tmp_path / "out", *NAMED)
    assert "0801x2.png" in said and "No space left" in said
    assert found(tmp_path / "out") == {f"hr/{name}" for name in IMAGES}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped({"0801.png": IMAGES["0801.png"]}), "lacks DIV2K_valid_HR/0810.png"),
        (zipped(IMAGES, "holiday"), "lacks DIV2K_valid_HR/0801.png"),
        (zipped(IMAGES)[:-500], "is damaged"),
        (b"no archive", "is damaged"),
    ],
)
def test_another_or_a_damaged_archive_is_one_line(
    content: bytes, reason: str, div2k: Callable[..., None], refusal: Refusal, tmp_path: Path
) -> None:
    (tmp_path / "other.zip").write_bytes(content)
    assert reason in refusal(div2k, "--archive", tmp_path / "other.zip", "--output", tmp_path / "out", *NAMED)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no picture", "is damaged"),
        (IMAGES["0801.png"][:3000], "is damaged"),
        (encoded((60, 35), 0), "60 x 35 cannot be divided by 2"),
    ],
)
def test_an_image_that_cannot_be_reduced_is_one_line(
    content: bytes, reason: str, div2k: Callable[..., None], refusal: Refusal, tmp_path: Path
) -> None:
    (tmp_path / "other.zip").write_bytes(zipped({"0801.png": content}))
    said = refusal(div2k, "--archive", tmp_path / "other.zip", "--output", tmp_path / "out", "--images", 801)
    assert "0801.png" in said and reason in said
    assert found(tmp_path / "out") == {"hr/0801.png"}


def test_an_image_that_does_not_exist_is_one_line(
    div2k: Callable[..., None], archive: Path, refusal: Refusal, tmp_path: Path
) -> None:
    said = refusal(div2k, "--archive", archive, "--output", tmp_path / "out", "--images", 800)
    assert "801 to 900" in said
    assert "is no file" in refusal(div2k, "--archive", tmp_path / "gone.zip", "--output", tmp_path / "out")


def test_it_says_what_it_would_download(
    div2k: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from download_div2k import ARCHIVE

    div2k("--output", tmp_path / "out", "--dry-run")
    said = capsys.readouterr().out
    assert ARCHIVE.urls[0] in said and ARCHIVE.terms in said and ARCHIVE.checksum in said and "0.45 GB" in said
    assert ARCHIVE.urls[0].startswith("https://") and len(bytes.fromhex(ARCHIVE.checksum.removeprefix("sha256:"))) == 32
    assert not (tmp_path / "out").exists()


@pytest.fixture
def served(shop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server, which has the archive, of whose size and checksum the script knows."""
    import download_div2k
    from fetching import Archive

    shop.content = zipped(IMAGES)
    checksum = f"sha256:{hashlib.sha256(shop.content).hexdigest()}"
    archive = Archive("small.zip", ("http://127.0.0.1:1/",), "free", "here", len(shop.content), checksum)
    monkeypatch.setattr(download_div2k, "ARCHIVE", archive)
    return shop


def test_from_the_network_to_reduced_images(
    div2k: Callable[..., None], served: Any, refusal: Refusal, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = "--output", out, "--url", served.url(), *NAMED
    served.cut = [1000, 0, 0]
    assert "run this again to go on" in refusal(div2k, *arguments)
    assert not (out / "hr").exists()
    served.asked.clear()
    div2k(*arguments)
    assert served.asked == ["bytes=1000-"]
    assert {path.name for path in out.iterdir()} == {"small.zip", "hr", "x2", "x3"}
    served.asked.clear()
    div2k(*arguments)
    assert not served.asked, "what is there is not fetched again"
