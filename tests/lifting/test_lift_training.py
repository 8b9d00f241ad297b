"""From a photo and its depth, through nerfstudio's own programs, to views from elsewhere."""

import gzip
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.io.image_io import read_picture
from gainer_ns.lifting.loading import load_lifted
from gainer_ns.preparation.config import PreparationConfig
from gainer_ns.preparation.preparation import prepare

Fit = Callable[..., Path]
Edit = Callable[[Any], None]


def samples(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Of 8-bit pictures, in dB."""
    error = one.astype(np.float64) / 255 - other.astype(np.float64) / 255
    return -10 * math.log10(max(float(np.square(error).mean()), 1e-20))


@pytest.fixture
def ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """nerfstudio wants ffmpeg on the path even where it writes pictures only; a stand-in will do for that."""
    if shutil.which("ffmpeg") is None:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.fixture
def train(fit: Fit, lifted_photo: Path, tmp_path: Path) -> Callable[..., Path]:
    """``train(focal_length=..., ...)`` lifts the photo with options of the data manager; returns config.yml."""

    def run(*, data: Path = lifted_photo, edit: Edit = lambda config: None, **options: Any) -> Path:
        def with_options(config: Any) -> None:
            options.setdefault("depth_path", lifted_photo.with_name("depth.npy"))
            options.setdefault("focal_length", 60.0)
            for name, value in options.items():
                assert hasattr(config.pipeline.datamanager, name)
                setattr(config.pipeline.datamanager, name, value)
            edit(config)

        return fit(data, tmp_path / "runs", "gainer-lift", with_options)

    return run


@pytest.fixture(scope="module")
def shared(fit: Fit, camera: PinholeCamera, colours_of: Any, plane_depth: Any, tmp_path_factory: Any) -> Path:
    """The config.yml of a run, in the folder of its photo.png. Not to be written to."""
    folder = tmp_path_factory.mktemp("shared")
    Image.fromarray((colours_of(camera) * 255).round().byte().numpy()).save(folder / "photo.png")
    np.save(folder / "depth.npy", plane_depth(camera, (0.3, 0.1, 1.0), 2.0).float().numpy())

    def edit(config: Any) -> None:
        data = config.pipeline.datamanager
        data.depth_path, data.focal_length, data.principal_point = folder / "depth.npy", 60.0, camera.centre

    return fit(folder / "photo.png", folder / "runs", "gainer-lift", edit)


def photo_of(config: Path) -> np.ndarray:
    return samples(config.parents[3].parent / "photo.png")


def test_ns_eval(shared: Path, tmp_path: Path) -> None:
    ComputePSNR(shared, tmp_path / "output.json").main()
    results = json.loads((tmp_path / "output.json").read_text())["results"]
    assert results["psnr"] > 40 and results["depth_error"] < 0.005


def test_ns_render_dataset(shared: Path, camera: PinholeCamera, tmp_path: Path, plane_depth: Any, centres: Any) -> None:
    names = ["rgb", "rgba", "accumulation", "depth", "raw-depth"]
    DatasetRender(shared, tmp_path, image_format="png", rendered_output_names=names).main()
    assert psnr(samples(tmp_path / "test" / "rgb.png"), photo_of(shared)) > 40
    assert (samples(tmp_path / "test" / "rgba.png")[..., 3] == 255).all()
    with gzip.open(tmp_path / "test" / "raw-depth.npy.gz") as file:
        depth = np.load(file)[..., 0]
    slant = camera.rays(centres(camera)).norm(dim=-1)
    expected = plane_depth(camera, (0.3, 0.1, 1.0), 2.0) * slant  # nerfstudio tells it in the units of the file
    np.testing.assert_allclose(depth, expected.numpy(), rtol=2e-3)


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("name", ["orbit", "dolly"])
def test_the_ready_camera_paths(shared: Path, tmp_path: Path, name: str) -> None:
    path = json.loads((shared.parent / f"{name}.json").read_text())
    assert (path["render_width"], path["render_height"]) == (48, 36)
    path["camera_path"] = path["camera_path"][::24]
    (tmp_path / "path.json").write_text(json.dumps(path))
    RenderCameraPath(
        load_config=shared,
        output_path=tmp_path / "frames",
        camera_path_filename=tmp_path / "path.json",
        rendered_output_names=["rgb"],
        output_format="images",
        image_format="png",
    ).main()
    frames = [samples(frame) for frame in sorted((tmp_path / "frames").glob("*.png"))]
    assert len(frames) == 4 and all(frame.shape == (36, 48, 3) for frame in frames)
    assert len({frame.tobytes() for frame in frames}) >= 3  # the dolly comes back the way it went
    assert all((frame < 250).any(axis=-1).mean() > 0.7 for frame in frames)


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize(("factor", "least"), [(2, 36.0), (4, 27.5)])
def test_smaller_views_are_averaged(train: Any, lifted_photo: Path, tmp_path: Path, factor: int, least: float) -> None:
    """By ns-render: of a photo of coloured noise, single rays would see 10 to 15 dB less."""
    noise = np.random.default_rng(0).integers(40, 216, (36, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(lifted_photo)
    config = train()
    path = json.loads((config.parent / "orbit.json").read_text())
    path["camera_path"] = path["camera_path"][:1]  # where the photo was taken
    (tmp_path / "path.json").write_text(json.dumps(path))
    RenderCameraPath(
        config,
        tmp_path / "frames",
        camera_path_filename=tmp_path / "path.json",
        output_format="images",
        image_format="png",
        downscale_factor=factor,
    ).main()
    (frame,) = (tmp_path / "frames").glob("*.png")
    cells = noise.reshape(36 // factor, factor, 48 // factor, factor, 3).mean(axis=(1, 3))
    assert psnr(samples(frame), cells) > least


@pytest.mark.usefixtures("ffmpeg")
def test_interpolation_and_spiral(train: Any, lifted_photo: Path, tmp_path: Path) -> None:
    config = train()  # whose principal point is the middle: nerfstudio takes the size of such pictures from it
    options: dict[str, Any] = {"output_format": "images", "image_format": "png"}
    RenderInterpolated(config, tmp_path / "between", interpolation_steps=3, **options).main()
    frames = [samples(frame) for frame in sorted((tmp_path / "between").glob("*.png"))]
    assert len(frames) == 3 and psnr(frames[0], samples(lifted_photo)) > 40
    SpiralRender(config, tmp_path / "spiral", seconds=0.1, **options).main()
    assert list((tmp_path / "spiral").glob("*.png"))


def test_the_camera_is_what_was_named(shared: Path, train: Any) -> None:
    assert load_lifted(shared).camera == PinholeCamera(48, 36, (60.0, 60.0), (22.5, 19.25))
    config = train(focal_length=71.5)
    assert load_lifted(config).camera == PinholeCamera(48, 36, (71.5, 71.5), (24.0, 18.0))
    cameras = eval_setup(config)[1].datamanager.train_dataset.cameras  # pyright: ignore[reportOptionalMemberAccess]
    assert float(cameras.fx[0]) == 71.5 and float(cameras.cx[0]) == 24


def test_a_mask_file(train: Any, tmp_path: Path) -> None:
    mask = np.zeros((36, 48), np.uint8)
    mask[6:30, 10:35] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    config = train(mask_path=tmp_path / "mask.png")
    DatasetRender(config, tmp_path / "out", image_format="png", rendered_output_names=["rgba", "rgb"]).main()
    rgba, photo = samples(tmp_path / "out" / "test" / "rgba.png"), samples(tmp_path / "photo.png")
    assert psnr(rgba[mask > 0][:, :3], photo[mask > 0]) > 40
    assert (rgba[mask > 0][:, 3] >= 253).all() and (rgba[mask == 0][:, 3] <= 2).all()
    assert (samples(tmp_path / "out" / "test" / "rgb.png")[0] == 255).all()


def test_the_photos_own_alpha_is_its_mask(train: Any, tmp_path: Path) -> None:
    photo = samples(tmp_path / "photo.png")
    alpha = np.zeros((36, 48), np.uint8)
    alpha[6:30, 10:35] = 255
    Image.fromarray(np.dstack([photo, alpha])).save(tmp_path / "cut.png")
    scene = load_lifted(train(data=tmp_path / "cut.png"))
    assert set(scene.layers[0].pixels.tolist()) == set(np.flatnonzero(alpha).tolist())


def test_a_downscaled_photo(train: Any, tmp_path: Path) -> None:
    def by_two(config: Any) -> None:
        config.pipeline.datamanager.dataparser.downscale_factor = 2

    config = train(principal_point=(22.5, 19.25), edit=by_two)
    assert load_lifted(config).camera == PinholeCamera(24, 18, (30.0, 30.0), (11.25, 9.625))
    DatasetRender(config, tmp_path / "out", image_format="png", rendered_output_names=["rgb"]).main()
    cells = samples(tmp_path / "photo.png").reshape(18, 2, 24, 2, 3).mean(axis=(1, 3))
    assert psnr(samples(tmp_path / "out" / "test" / "rgb.png"), cells) > 40


@pytest.mark.parametrize("named", [True, False], ids=["as --data", "beside the photo"])
def test_a_prepared_folder(train: Any, lifted_photo: Path, tmp_path: Path, named: bool) -> None:
    options = PreparationConfig(depth_path=lifted_photo.with_name("depth.npy"), focal_length=66.0)
    folder = tmp_path / "kept" if named else None
    prepare(lifted_photo, read_picture(lifted_photo), options, folder=folder, fresh=True)
    lifted_photo.with_name("depth.npy").unlink()
    config = train(data=folder or lifted_photo, depth_path=None, focal_length=None)
    assert load_lifted(config).camera.focal_length == (66.0, 66.0)
    ComputePSNR(config, tmp_path / "output.json").main()
    assert json.loads((tmp_path / "output.json").read_text())["results"]["psnr"] > 40


def test_an_inpainted_background(train: Any, lifted_photo: Path, tmp_path: Path) -> None:
    depth, mask = np.full((36, 48), 3.0, np.float32), np.zeros((36, 48), np.uint8)
    depth[12:24, 18:30], mask[12:24, 18:30] = 1.5, 255
    np.save(tmp_path / "depth.npy", depth)
    Image.fromarray(mask).save(tmp_path / "mask.png")
    scene = load_lifted(train(mask_path=tmp_path / "mask.png", background="inpaint"))
    assert len(scene.shown_layers) == 2 and scene.unit == pytest.approx(1.5)
    behind = scene.shown_layers[1]
    assert set(behind.pixels.tolist()) == set(range(48 * 36))
    depths = 1 - behind.gaussians.means[:, 2]
    torch.testing.assert_close(depths, torch.full_like(depths, 2.0), rtol=1e-3, atol=0)
    assert float(behind.opacities.min()) > 0.95
    config = sorted((tmp_path / "runs").rglob("config.yml"))[0]
    DatasetRender(config, tmp_path / "out", image_format="png", rendered_output_names=["rgb"]).main()
    shown = mask > 0  # around the object, the background is made up
    shown[:7], shown[29:], shown[:, :13], shown[:, 35:] = True, True, True, True
    assert psnr(samples(tmp_path / "out" / "test" / "rgb.png")[shown], samples(lifted_photo)[shown]) > 40


def zero_focal_length(folder: Path) -> dict[str, Any]:
    return {"focal_length": 0.0}


def missing_depth(folder: Path) -> dict[str, Any]:
    return {"depth_path": folder / "none.npy"}


def other_size(folder: Path) -> dict[str, Any]:
    np.save(folder / "small.npy", np.ones((30, 40), np.float32))
    return {"depth_path": folder / "small.npy"}


def unknown_depth(folder: Path) -> dict[str, Any]:
    np.save(folder / "unknown.npy", np.full((36, 48), np.nan, np.float32))
    return {"depth_path": folder / "unknown.npy"}


def empty_mask(folder: Path) -> dict[str, Any]:
    Image.new("L", (48, 36)).save(folder / "empty.png")
    return {"mask_path": folder / "empty.png"}


def mask_of_another_size(folder: Path) -> dict[str, Any]:
    Image.new("L", (40, 36), 255).save(folder / "narrow.png")
    return {"mask_path": folder / "narrow.png"}


def missing_model(folder: Path) -> dict[str, Any]:
    from gainer_ns.preparation.config import DepthConfig

    return {"depth_path": None, "depth": DepthConfig(model=str(folder / "no_model"))}


def missing_photo(folder: Path) -> dict[str, Any]:
    return {"data": folder / "none.png"}


FAULTS = [
    zero_focal_length,
    missing_depth,
    other_size,
    unknown_depth,
    empty_mask,
    mask_of_another_size,
    missing_model,
    missing_photo,
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_faults_end_in_one_line(train: Any, tmp_path: Path, fault: Callable[[Path], dict[str, Any]]) -> None:
    with pytest.raises(GainerError) as caught:
        train(**fault(tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert ":" in message or ";" in message
    assert not list((tmp_path / "runs").rglob("*")) and not list(tmp_path.glob("*_lift"))


def test_gaps_of_the_depth_and_skies_are_lifted(train: Any, lifted_photo: Path, tmp_path: Path) -> None:
    depth = np.load(tmp_path / "depth.npy")
    sky = np.zeros(depth.shape, bool)
    sky[: len(sky) // 4] = True
    depth[20:24, 20:26], depth[-1, 0], depth[30, 5], depth[31, 6], depth[sky] = np.nan, -1, 0, np.inf, 0
    np.save(tmp_path / "depth.npy", depth)
    scene = load_lifted(train())
    assert set(scene.layers[0].pixels.tolist()) == set(range(depth.size))


def test_checkpoints_load_without_pickle(shared: Path) -> None:
    (checkpoint,) = (shared.parent / "nerfstudio_models").glob("*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["pipeline"]["_model.version"] == 2
