"""nerfstudio's own tools on fitted pictures: ns-eval, ns-render, ns-export and the viewer."""

import dataclasses
import gzip
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.scripts.render import DatasetRender, RenderCameraPath, RenderInterpolated, SpiralRender
from nerfstudio.utils.eval_utils import eval_setup
from nerfstudio.viewer.utils import CameraState
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.image.loading import load_baked
from gainer_ns.image.model import GainerModel
from gainer_ns.io.image_io import read_picture

Fit = Callable[..., Path]


def decibel(error: np.ndarray) -> float:
    """PSNR of colours in [0, 1]."""
    return -10 * math.log10(max(float(np.square(error, dtype=np.float64).mean()), 1e-20))


def samples(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def loaded_model(config: Path) -> GainerModel:
    return eval_setup(config)[1].model


@pytest.fixture
def ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """nerfstudio wants ffmpeg on the path even where it writes pictures only; a stand-in will do for that."""
    if shutil.which("ffmpeg") is None:
        program = tmp_path / "bin" / "ffmpeg"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.fixture(scope="module")
def cut_out(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with a hole: 45 pixels wide and 30 high, transparent inside a disc."""
    colours = samples(photo)[:30, :45]
    row, column = np.mgrid[:30, :45]
    alpha = np.where(np.hypot(row - 15, column - 20) < 9, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("cut_out") / "cut_out.png"
    Image.fromarray(np.dstack([colours, alpha])).save(path)
    return path


@pytest.fixture(scope="module")
def cut_out_run(fit: Fit, cut_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(cut_out, tmp_path_factory.mktemp("cut_out_run"))


def pose_from(position: tuple[float, float, float]) -> np.ndarray:
    """A nerfstudio camera [4, 4] at a place, that looks at the middle of the picture, upright."""
    pose = np.eye(4)
    back = np.array(position) / np.linalg.norm(position)
    right = np.cross([0.0, 1.0, 0.0], back)
    pose[:3, 0] = right / np.linalg.norm(right)
    pose[:3, 1] = np.cross(back, pose[:3, 0])
    pose[:3, 2] = back
    pose[:3, 3] = position
    return pose


def camera_path(poses: list[np.ndarray], width: int, height: int, **more: Any) -> dict[str, Any]:
    """What nerfstudio's viewer writes for a camera path, with a field of view of 60 degrees."""
    keyframe = {"fov": 60.0, "aspect": width / height, "override_transition_enabled": False}
    frames = [{"camera_to_world": pose.flatten().tolist(), "fov": 60.0, "aspect": width / height} for pose in poses]
    return {
        "default_fov": 60.0,
        "default_transition_sec": 2.0,
        "keyframes": [{"matrix": pose.flatten().tolist(), **keyframe} for pose in poses],
        "camera_type": "perspective",
        "render_height": height,
        "render_width": width,
        "fps": 24,
        "seconds": len(poses) / 24,
        "is_cycle": False,
        "smoothness_value": 0.0,
        "camera_path": frames,
        **more,
    }


def render_path(config: Path, folder: Path, path: dict[str, Any]) -> list[np.ndarray]:
    """The frames that ns-render makes of a camera path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "path.json").write_text(json.dumps(path))
    RenderCameraPath(
        load_config=config,
        output_path=folder / "frames",
        camera_path_filename=folder / "path.json",
        output_format="images",
        image_format="png",
    ).main()
    return [samples(frame) for frame in sorted((folder / "frames").glob("*.png"))]


def expected_view(source: np.ndarray, pose: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """What a camera with a field of view of 60 degrees sees of a picture: bilinear colours, and where it sees any."""
    focal = 0.5 * height / math.tan(math.radians(30))
    y, x = np.mgrid[:height, :width] + 0.5
    rays = np.stack([(x - width / 2) / focal, (height / 2 - y) / focal, -np.ones_like(x)], axis=-1) @ pose[:3, :3].T
    along = -pose[2, 3] / rays[..., 2]
    hit = pose[:2, 3] + along[..., None] * rays[..., :2]
    rows, columns = source.shape[:2]
    column, row = hit[..., 0] * columns + columns / 2, rows / 2 - hit[..., 1] * columns
    seen = (along > 0) & (column > 1) & (column < columns - 1) & (row > 1) & (row < rows - 1)
    column, row = np.where(seen, column - 0.5, 0), np.where(seen, row - 0.5, 0)
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    u, v = (column - left)[..., None], (row - top)[..., None]
    upper = source[top, left] * (1 - u) + source[top, left + 1] * u
    lower = source[top + 1, left] * (1 - u) + source[top + 1, left + 1] * u
    return upper * (1 - v) + lower * v, seen


def test_ns_eval_agrees_with_the_fit(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    ComputePSNR(fitted_run, tmp_path / "metrics" / "output.json", tmp_path / "pictures").main()
    results = json.loads((tmp_path / "metrics" / "output.json").read_text())["results"]
    fitted = decibel(load_baked(fitted_run).raster()[0].numpy() - read_picture(photo).colours())
    assert fitted > 80
    assert results["psnr"] == pytest.approx(fitted, abs=0.1)
    assert results["exact_share"] == 1
    side_by_side = samples(tmp_path / "pictures" / "eval_img_0000.png")
    np.testing.assert_array_equal(side_by_side, np.tile(samples(photo), (1, 2, 1)))


def test_ns_eval_of_the_visible_pixels(cut_out_run: Path, tmp_path: Path) -> None:
    ComputePSNR(cut_out_run, tmp_path / "output.json").main()
    assert json.loads((tmp_path / "output.json").read_text())["results"]["psnr"] > 80


def test_a_wide_picture_is_exact_through_its_camera(fit: Fit, photo: Path, tmp_path: Path) -> None:
    wide = np.tile(samples(photo)[:8], (1, 42, 1))[:, :4000]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    pipeline = eval_setup(fit(tmp_path / "wide.png", tmp_path))[1]
    camera, batch = next(iter(pipeline.datamanager.fixed_indices_eval_dataloader))
    rendered = pipeline.model.get_outputs_for_camera(camera)["rgb"]
    fitted, _ = pipeline.model.fitted().raster()
    assert decibel((rendered - batch["image"]).numpy()) > decibel((fitted - batch["image"]).numpy()) - 0.1
    np.testing.assert_array_equal((rendered * 255).round().numpy(), wide)


def test_every_output_of_ns_render_dataset(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    names = ["rgb", "gt-rgb", "rgba", "accumulation", "depth", "raw-depth"]
    DatasetRender(fitted_run, tmp_path, image_format="png", rendered_output_names=names).main()
    for name in ("rgb", "gt-rgb"):
        np.testing.assert_array_equal(samples(tmp_path / "test" / f"{name}.png"), samples(photo))
    rgba = samples(tmp_path / "test" / "rgba.png")
    np.testing.assert_array_equal(rgba[..., :3], samples(photo))
    assert (rgba[..., 3] == 255).all()
    assert samples(tmp_path / "test" / "accumulation.png").shape == (64, 96, 3)
    assert samples(tmp_path / "test" / "depth.png").shape == (64, 96, 3)
    with gzip.open(tmp_path / "test" / "raw-depth.npy.gz") as file:
        depth = np.load(file)
    y, x = (np.mgrid[:64, :96] + 0.5 - np.array([32, 48])[:, None, None]) / 96
    np.testing.assert_allclose(depth[..., 0], np.sqrt(1 + x**2 + y**2), rtol=1e-6)


@pytest.mark.parametrize("split", ["train", "val", "train+test"])
def test_every_split_is_the_picture(fitted_run: Path, photo: Path, tmp_path: Path, split: str) -> None:
    DatasetRender(fitted_run, tmp_path, image_format="png", split=split).main()
    for name in split.split("+"):
        np.testing.assert_array_equal(samples(tmp_path / name / "rgb.png"), samples(photo))


def test_a_hole_shows_the_background(cut_out_run: Path, cut_out: Path, tmp_path: Path) -> None:
    DatasetRender(cut_out_run, tmp_path, image_format="png", rendered_output_names=["rgb", "rgba"]).main()
    source = samples(cut_out)
    hole = source[..., 3] == 0
    rgb, rgba = samples(tmp_path / "test" / "rgb.png"), samples(tmp_path / "test" / "rgba.png")
    np.testing.assert_array_equal(rgba[..., 3], source[..., 3])
    np.testing.assert_array_equal(rgba[~hole], source[~hole])
    np.testing.assert_array_equal(rgb[~hole], source[~hole][:, :3])
    assert (rgb[hole] == 255).all() and (rgba[hole] == 0).all()


def test_the_background_is_an_option(fit: Fit, cut_out: Path, tmp_path: Path) -> None:
    def in_blue(config: Any) -> None:
        config.pipeline.model.background = (0.0, 0.0, 1.0)

    config = fit(cut_out, tmp_path, edit=in_blue)
    DatasetRender(config, tmp_path / "out", image_format="png", rendered_output_names=["rgb", "rgba"]).main()
    source = samples(cut_out)
    hole = source[..., 3] == 0
    assert (samples(tmp_path / "out" / "test" / "rgb.png")[hole] == (0, 0, 255)).all()
    np.testing.assert_array_equal(samples(tmp_path / "out" / "test" / "rgba.png")[~hole], source[~hole])


@pytest.mark.parametrize("factor", [2, 4])
def test_downscaling_averages_areas(fitted_run: Path, photo: Path, tmp_path: Path, factor: int) -> None:
    DatasetRender(fitted_run, tmp_path, image_format="png", downscale_factor=float(factor)).main()
    cells = samples(photo).reshape(64 // factor, factor, 96 // factor, factor, 3) / 255
    small = samples(tmp_path / "test" / "rgb.png") / 255
    assert decibel(small - cells.mean(axis=(1, 3))) > 55  # what rounding to 8 bits leaves
    assert decibel(small - samples(tmp_path / "test" / "gt-rgb.png") / 255) > 30


def test_downscaling_odd_sides_keeps_the_border(fit: Fit, photo: Path, tmp_path: Path) -> None:
    Image.open(photo).crop((0, 0, 95, 61)).save(tmp_path / "odd.png")
    config = fit(tmp_path / "odd.png", tmp_path)
    names = ["rgb", "rgba", "gt-rgb"]
    DatasetRender(
        config, tmp_path / "out", image_format="png", downscale_factor=2.0, rendered_output_names=names
    ).main()
    assert (samples(tmp_path / "out" / "test" / "rgba.png")[..., 3] == 255).all()
    small = samples(tmp_path / "out" / "test" / "rgb.png") / 255
    assert small.shape == (30, 47, 3)
    assert decibel(small - samples(tmp_path / "out" / "test" / "gt-rgb.png") / 255) > 30


def test_a_fraction_cannot_downscale(fitted_run: Path, tmp_path: Path) -> None:
    with pytest.raises(GainerError, match=r"1\.5: pictures are reduced by whole numbers"):
        DatasetRender(fitted_run, tmp_path, downscale_factor=1.5).main()


def test_a_fit_of_a_downscaled_picture(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def by_three(config: Any) -> None:
        config.pipeline.datamanager.dataparser.downscale_factor = 3

    config = fit(photo, tmp_path, edit=by_three)
    DatasetRender(config, tmp_path / "out", image_format="png").main()
    assert samples(tmp_path / "out" / "test" / "rgb.png").shape == (21, 32, 3)
    np.testing.assert_array_equal(
        samples(tmp_path / "out" / "test" / "rgb.png"), samples(tmp_path / "out" / "test" / "gt-rgb.png")
    )


@pytest.mark.usefixtures("ffmpeg")
def test_an_oblique_view_is_the_plane_in_perspective(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    pose = pose_from((0.5, 0.35, 0.7))
    (frame,) = render_path(fitted_run, tmp_path, camera_path([pose], 160, 120))
    expected, seen = expected_view(samples(photo) / 255, pose, 160, 120)
    assert 0.2 < seen.mean() < 0.9
    assert decibel(frame[seen] / 255 - expected[seen]) > 35
    assert (frame[0] == 255).all() and (frame[-1] == 255).all()


def test_the_depth_of_nothing_is_that_of_the_farthest_thing(fitted_run: Path) -> None:
    pose = torch.tensor(pose_from((0.0, 1.0, 0.2)), dtype=torch.float32)[None, :3]  # the horizon is in view
    camera = Cameras(pose, fx=30.0, fy=30.0, cx=24.0, cy=16.0, width=48, height=32)
    outputs = loaded_model(fitted_run).get_outputs_for_camera(camera)
    visible = outputs["accumulation"] > 0
    assert not visible.all()
    assert 0.7 < outputs["depth"][visible].min() < outputs["depth"].max() < 1.5
    assert (outputs["depth"][~visible] == outputs["depth"][visible].max()).all()


@pytest.mark.usefixtures("ffmpeg")
def test_from_behind_it_is_mirrored(fitted_run: Path, tmp_path: Path) -> None:
    front, behind = render_path(
        fitted_run, tmp_path, camera_path([pose_from((0.1, 0.2, 1.0)), pose_from((0.1, 0.2, -1.0))], 60, 40)
    )
    assert decibel((front - behind[:, ::-1].astype(float)) / 255) > 45


@pytest.mark.usefixtures("ffmpeg")
def test_looking_away_shows_nothing(fitted_run: Path, tmp_path: Path) -> None:
    away = pose_from((0.0, 0.0, -1.0))
    away[2, 3] = 1.0
    (frame,) = render_path(fitted_run, tmp_path, camera_path([away], 30, 20))
    assert (frame == 255).all()


@pytest.mark.usefixtures("ffmpeg")
def test_a_cropped_camera_path_shows_what_is_in_the_box(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    pose = pose_from((0.0, 0.0, 1.0))
    crop: dict[str, Any] = {"crop_center": [0.25, 0.0, 0.0], "crop_scale": [0.5, 2.0, 2.0], "crop_rot": [0.0, 0.0, 0.0]}
    crop |= {"crop_bg_color": {"r": 0, "g": 128, "b": 255}}
    (frame,) = render_path(fitted_run, tmp_path, camera_path([pose], 120, 80, crop=crop))
    expected, seen = expected_view(samples(photo) / 255, pose, 120, 80)
    right_half = np.arange(120)[None, :] >= 60
    assert decibel(frame[seen & right_half] / 255 - expected[seen & right_half]) > 35
    assert (frame[:, :60] == (0, 128, 255)).all()


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("kind", ["fisheye", "equirectangular"])
def test_other_cameras_see_it_too(fitted_run: Path, tmp_path: Path, kind: str) -> None:
    path = camera_path([pose_from((0.0, 0.0, 0.5))], 80, 40, camera_type=kind)
    (frame,) = render_path(fitted_run, tmp_path, path)
    centre, corner = frame[15:25, 35:45], frame[:3, :3]
    assert (centre < 250).any(axis=-1).all()
    assert (corner == 255).all()


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("source", ["eval", "train"])
def test_interpolation_starts_at_the_picture(fitted_run: Path, photo: Path, tmp_path: Path, source: Any) -> None:
    RenderInterpolated(
        fitted_run,
        tmp_path / "frames",
        pose_source=source,
        interpolation_steps=4,
        output_format="images",
        image_format="png",
    ).main()
    frames = [samples(frame) for frame in sorted((tmp_path / "frames").glob("*.png"))]
    assert len(frames) == 4
    assert decibel((frames[0] - samples(photo).astype(float)) / 255) > 40
    assert (frames[-1][:, 0] == 255).all()  # seen from the right, the left edge is farther away
    assert (frames[-1][:, -1] < 255).any()


@pytest.mark.usefixtures("ffmpeg")
def test_the_spiral_is_upright(fitted_run: Path, photo: Path, tmp_path: Path) -> None:
    SpiralRender(fitted_run, tmp_path / "frames", seconds=0.25, output_format="images", image_format="png").main()
    frames = [samples(frame).astype(float) for frame in sorted((tmp_path / "frames").glob("*.png"))]
    assert len(frames) == 6
    source = samples(photo)[16:48, 24:72].astype(float)
    for frame in frames:
        alike = [
            max(
                np.corrcoef(source.ravel(), turned[top : top + 32, left : left + 48].ravel())[0, 1]
                for top in range(0, 32, 2)
                for left in range(0, 48, 2)
            )
            for turned in (frame, frame[::-1, ::-1], frame[:, ::-1])
        ]
        assert alike[0] > 0.85 and alike[0] == max(alike)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed; it encodes the video")
def test_a_video(fitted_run: Path, tmp_path: Path) -> None:
    RenderInterpolated(fitted_run, tmp_path / "clip.mp4", interpolation_steps=5).main()
    assert (tmp_path / "clip.mp4").stat().st_size > 1000


@pytest.mark.usefixtures("ffmpeg")
def test_the_nearest_camera_can_stand_beside(fit: Fit, photo: Path, tmp_path: Path) -> None:
    Image.open(photo).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    config = fit(tmp_path / "palette.png", tmp_path)
    RenderInterpolated(
        config,
        tmp_path / "frames",
        interpolation_steps=2,
        output_format="images",
        image_format="png",
        render_nearest_camera=True,
    ).main()
    frame = samples(tmp_path / "frames" / "00000.png")
    np.testing.assert_array_equal(frame[:, 96:], read_picture(tmp_path / "palette.png").rgb)


def test_shrinking_by_distance_averages_areas(fitted_run: Path, photo: Path) -> None:
    model = loaded_model(fitted_run)
    pose = torch.eye(4)[None, :3]
    pose[0, 2, 3] = 4.0
    camera = Cameras(pose, fx=96.0, fy=96.0, cx=12.0, cy=8.0, width=24, height=16)
    cells = samples(photo).reshape(16, 4, 24, 4, 3) / 255
    assert decibel(model.get_outputs_for_camera(camera)["rgb"].numpy() - cells.mean(axis=(1, 3))) > 75


def test_rays_and_cameras_agree(fitted_run: Path) -> None:
    model = loaded_model(fitted_run)
    pose = torch.tensor(pose_from((0.3, -0.2, 0.9)), dtype=torch.float32)[None, :3]
    camera = Cameras(pose, fx=60.0, fy=60.0, cx=24.0, cy=16.0, width=48, height=32)
    by_camera = model.get_outputs_for_camera(camera)
    by_rays = model.get_outputs_for_camera_ray_bundle(camera.generate_rays(camera_indices=0, keep_shape=True))
    hit = by_rays["accumulation"] > 0
    torch.testing.assert_close(by_camera["depth"][hit], by_rays["depth"][hit], rtol=1e-4, atol=1e-4)
    inner = hit & (by_camera["accumulation"] == 1)
    error = (by_camera["rgb"] - by_rays["rgb"])[inner.expand(-1, -1, 3)]
    assert decibel(error.numpy()) > 30  # one of the two averages over the pixel
    torch.testing.assert_close(model(camera)["rgb"], by_camera["rgb"])


def test_checkpoints_load_without_pickle(fit: Fit, photo: Path, tmp_path: Path) -> None:
    def with_adam(config: Any) -> None:
        config.pipeline.model.adam_steps = 3
        config.pipeline.model.num_gaussians = 2000
        config.pipeline.model.finish_steps = 0

    for method in ("gainer", "gainer-paper"):
        checkpoint = next(fit(photo, tmp_path, method, with_adam).parent.rglob("*.ckpt"))
        state = torch.load(checkpoint, weights_only=True)
        assert state["schedulers"] and state["optimizers"]["features"]["state"]


def test_ns_export_refuses_in_one_line(fitted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nerfstudio.scripts import exporter

    monkeypatch.setattr(sys, "argv", ["/usr/bin/ns-export", "pointcloud", "--load-config", str(fitted_run)])

    commands = [kind for kind in vars(exporter).values() if dataclasses.is_dataclass(kind) and hasattr(kind, "main")]
    assert len(commands) == 6
    for command in commands:
        with pytest.raises(GainerError, match="use gainer export") as refusal:
            command(fitted_run, tmp_path).main()
        assert "\n" not in str(refusal.value)


class _Client:
    """As much of a connected browser as the viewer's render thread needs."""

    def __init__(self, aspect: float) -> None:
        self.camera = SimpleNamespace(aspect=aspect)
        self.scene = self
        self.shown: list[np.ndarray] = []

    def set_background_image(self, image: np.ndarray, **_: Any) -> None:
        self.shown.append(image)


@pytest.mark.parametrize("output", ["rgb", "accumulation", "depth"])
def test_the_viewer_renders(fitted_run: Path, photo: Path, output: str) -> None:
    from nerfstudio.viewer.render_state_machine import RenderStateMachine
    from nerfstudio.viewer.viewer import Viewer

    config, pipeline, _, _ = eval_setup(fitted_run)
    viewer_config = ViewerConfig(websocket_host="127.0.0.1", image_format="png")
    viewer = Viewer(viewer_config, fitted_run.parent / "viewer.txt", photo, pipeline)
    try:
        viewer.init_scene(pipeline.datamanager.train_dataset, "completed", pipeline.datamanager.eval_dataset)
        viewer.update_scene(step=1)
        client: Any = _Client(aspect=1.5)
        machine = RenderStateMachine(viewer, 10.0, client)
        machine.state = "high"
        pose = torch.tensor(pose_from((0.0, 0.0, 0.5)))[:3]
        state = CameraState(2 * math.atan(32 / 96), 1.5, pose, CameraType.PERSPECTIVE)
        outputs = machine._render_img(state)
        assert outputs["depth"].shape == (341, 512, 1)
        machine._send_output_to_viewer(outputs)  # fills the list of outputs
        viewer.control_panel._output_render.value = output
        viewer.control_panel._layer_depth.value = True
        machine._send_output_to_viewer(machine._render_img(state))
    finally:
        viewer.viser_server.stop()
    enlarged = np.asarray(Image.open(photo).crop((24, 16, 72, 48)).resize((512, 341), Image.Resampling.BICUBIC))
    assert decibel((client.shown[0] - enlarged.astype(float)) / 255) > 30  # the camera is half as far as the usual one
    assert client.shown[1].shape == (341, 512, 3)
    assert config.method_name == "gainer"


@pytest.mark.slow
def test_the_real_programs(photo: Path, tmp_path: Path) -> None:
    def program(*command: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        line = [Path(sys.executable).with_name(str(command[0])), *map(str, command[1:])]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert program("ns-train", "gainer", "--data", photo, "--vis", "tensorboard").returncode == 0
    config = next((tmp_path / "outputs" / "astronaut" / "gainer").rglob("config.yml"))
    assert program("ns-eval", "--load-config", config, "--output-path", "metrics.json").returncode == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["results"]["psnr"] > 80
    assert program("ns-render", "dataset", "--load-config", config, "--image-format", "png").returncode == 0
    np.testing.assert_array_equal(samples(tmp_path / "renders" / "test" / "rgb.png"), samples(photo))
    refusal = program("ns-export", "pointcloud", "--load-config", config, "--output-dir", "exports")
    assert refusal.returncode == 1
    assert refusal.stderr.count("\n") == 1 and "use gainer export" in refusal.stderr
