"""The Kodak suite's script, from a server that has three small files under the images' names."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Refusal = Callable[..., str]
SCRIPT = Path(__file__).parents[2] / "data_scripts" / "download_kodak.py"
FILES = {number: np.random.default_rng(number).bytes(3000 + number) for number in (1, 5, 24)}


@pytest.fixture
def kodak(shop: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the script; its checksums are those of what the server has."""
    import download_kodak
    from commands import run

    shop.kind = "image/png"
    shop.files = {f"kodim{number:02}.png": content for number, content in FILES.items()}
    sums = {number: hashlib.sha256(content).hexdigest() for number, content in FILES.items()}
    monkeypatch.setattr(download_kodak, "SHA256", sums)

    def call(output: Path, *words: str, images: tuple[str, ...] = ("01", "5", "24")) -> None:
        arguments = ["--output", str(output), "--url", shop.url(""), *words, "--images", *images]
        run(download_kodak.DownloadKodak, arguments)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_image_has_a_source_and_a_checksum_of_its_own(tmp_path: Path) -> None:
    import download_kodak as script

    images = [script.image(number, script.FOLDER, tmp_path) for number in script.NUMBERS]
    assert [image.name for image in images] == [f"kodim{number:02}.png" for number in range(1, 25)]
    assert all(image.urls == (f"https://r0k.us/graphics/kodak/kodak/{image.name}",) for image in images)
    digests = {bytes.fromhex(image.checksum.removeprefix("sha256:")) for image in images}
    assert len(digests) == 24 and {len(digest) for digest in digests} == {32}


def test_what_was_asked_for_comes_as_published(kodak: Callable[..., None], shop: Any, tmp_path: Path) -> None:
    kodak(tmp_path / "out")
    assert contents(tmp_path / "out") == shop.files


def test_the_next_run_goes_on_and_fetches_nothing_twice(
    kodak: Callable[..., None], shop: Any, refusal: Refusal, tmp_path: Path
) -> None:
    shop.cut = [3001, 1000, 0, 0]
    said = refusal(kodak, tmp_path)
    assert "kodim05.png" in said and "run this again" in said and f"put it into {tmp_path}" in said
    assert (tmp_path / "kodim01.png").read_bytes() == FILES[1]
    assert not (tmp_path / "kodim05.png").exists()
    shop.asked.clear()
    kodak(tmp_path)
    assert shop.asked == ["bytes=1000-", ""], "what was finished is not asked for"
    shop.asked.clear()
    kodak(tmp_path)
    assert not shop.asked
    assert contents(tmp_path) == shop.files


def test_it_says_what_it_would_download(
    kodak: Callable[..., None], shop: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kodak(tmp_path / "out", "--dry-run")
    said = capsys.readouterr().out
    assert shop.url("kodim01.png") in said and "3 images" in said and "Eastman Kodak" in said
    assert not shop.asked and not (tmp_path / "out").exists()


def test_an_image_that_does_not_exist_is_one_line_and_an_exit_status(tmp_path: Path) -> None:
    command = [sys.executable, SCRIPT, "--output", tmp_path / "out", "--images", "25"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--images 25") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
