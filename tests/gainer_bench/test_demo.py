import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gainer_bench import demo
from gainer_bench.demo import Demo
from gainer_bench.sheets import GAP_PX
from gainer_bench.sources import resized
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import read_picture


@pytest.fixture
def fit_here(fit: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the demo run ns-train inside this process, which saves its start."""

    def run(image: Path, config: Path) -> float:
        def name_run(options: object) -> None:
            options.timestamp = config.parent.name  # type: ignore[attr-defined]

        assert fit(image, config.parents[3], config.parent.parent.name, name_run) == config.absolute()
        return 1.0

    monkeypatch.setattr(demo, "train", run)


def check(folder: Path, source: Path) -> None:
    """Every file that the demo promises is there and fits the source."""
    assert {path.name for path in folder.iterdir()} == set(demo.FILES)
    original = np.asarray(Image.open(source))
    height, width = original.shape[:2]
    for name in ("original", "fitted"):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / f"{name}.png")), original)
    assert Image.open(folder / "double.png").size == (2 * width, 2 * height)
    assert Image.open(folder / "half.png").size == (width // 2, height // 2)
    assert Image.open(folder / "error_map.png").size == (width, height)
    side = min(demo.DETAIL_PX, width), min(demo.DETAIL_PX, height)
    detail = np.asarray(Image.open(folder / "detail.png")).astype(float)
    assert detail.shape == (4 * side[1], 8 * side[0] + GAP_PX, 3)
    fitted, bicubic = detail[:, : 4 * side[0]], detail[:, -4 * side[0] :]
    assert np.square(fitted - bicubic).mean() < 255**2 / 10**3.5, "the two enlargements agree to 35 dB"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["fitted"]["psnr"] > 80 and metrics["fitted"]["exact_share"] == 1
    assert metrics["fitted"]["psnr_8bit"] == "inf"
    assert metrics["stored"]["psnr"] > 60
    assert metrics["bytes"]["picture.safetensors"] == (folder / "picture.safetensors").stat().st_size


@pytest.mark.usefixtures("fit_here")
def test_the_demo_writes_what_it_promises_again_and_again(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        Demo(output=tmp_path / "demo", image=photo).run()
        check(tmp_path / "demo", photo)
    said = capsys.readouterr().out
    for name in demo.FILES:
        assert str(tmp_path / "demo" / name) in said


@pytest.mark.usefixtures("fit_here")
def test_a_transparent_picture_is_measured_where_it_shows(photo: Path, tmp_path: Path) -> None:
    samples = np.dstack([np.asarray(Image.open(photo)), np.full((64, 96), 255, np.uint8)])
    samples[10:30, 20:50, 3] = 0
    Image.fromarray(samples).save(tmp_path / "hole.png")
    Demo(output=tmp_path / "demo", image=tmp_path / "hole.png").run()
    metrics = json.loads((tmp_path / "demo" / "metrics.json").read_text())
    assert metrics["fitted"]["exact_share"] == 1
    assert not np.asarray(Image.open(tmp_path / "demo" / "error_map.png"))[10:30, 20:50].any()
    fitted = np.asarray(Image.open(tmp_path / "demo" / "fitted.png"))
    np.testing.assert_array_equal(fitted[..., 3], samples[..., 3])


@pytest.mark.slow
def test_the_demo_runs_ns_train_itself(photo: Path, tmp_path: Path) -> None:
    Demo(output=tmp_path / "demo", image=photo).run()
    check(tmp_path / "demo", photo)


@pytest.mark.slow
def test_a_fit_that_fails_is_one_line(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(GainerError, match="ns-train ended with status"):
        demo.train(tmp_path / "nowhere.png", tmp_path / "outputs" / "nowhere/gainer/demo/config.yml")


def test_the_photograph_comes_with_scikit_image(tmp_path: Path) -> None:
    from skimage import data

    demo.write_original(None, tmp_path / "original.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "original.png").rgb, data.astronaut())


def test_pillow_reads_beyond_the_edges_of_a_crop(photo: Path) -> None:
    source = read_picture(photo)
    crop = resized(source.colours(), (20, 10, 60, 40), (160, 120))
    whole = resized(source.colours(), (0, 0, 96, 64), (384, 256))
    np.testing.assert_allclose(crop, whole[40:160, 80:240], atol=1e-5)


def test_the_busiest_square_is_found() -> None:
    colours = np.zeros((100, 200, 3), np.float32)
    colours[50:70:2, 150:170:2] = 1
    x, y = demo.busiest(colours, 40)
    assert x <= 150 and x + 40 >= 170 and y <= 50 and y + 40 >= 70
    assert demo.busiest(colours[:20, :20], 40) == (0, 0)
    assert demo.busiest(colours[:1, :1], 40) == (0, 0)
