"""Pictures with alpha, fitted: alpha is learned beside the colours, exact at the pixels, crisp between them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from gainer_ns.cli.main import entrypoint
from gainer_ns.image.loading import load_baked
from gainer_ns.image.model import GainerModel
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.picture_files import load_picture, save_picture

HEIGHT, WIDTH = 30, 44
ROW, COLUMN = np.mgrid[:HEIGHT, :WIDTH]


def distance(row: float, column: float) -> np.ndarray:
    return np.hypot(ROW - row, COLUMN - column)


def soft(photo: np.ndarray) -> np.ndarray:
    """Alpha rises from nothing to full, through every level between."""
    return np.dstack([photo, np.linspace(-30, 290, WIDTH)[None].repeat(HEIGHT, 0).clip(0, 255)])


def black(photo: np.ndarray) -> np.ndarray:
    """A pure black disc with a smooth rim, on transparent black: its colour does not say where it is."""
    return np.dstack([np.zeros_like(photo), (255 * (10.5 - distance(14.3, 20.1))).clip(0, 255)])


def cut_out(photo: np.ndarray) -> np.ndarray:
    """A photograph in a hard shape that touches the frame on two sides and has a hole; rubbish where it is clear."""
    shape = (distance(29, 0) < 24) & (distance(20, 8) >= 4)
    return np.dstack([np.where(shape[..., None], photo, 255 - photo), 255 * shape])


SOURCES = {"soft": soft, "black": black, "cut-out": cut_out}


class Fitted(NamedTuple):
    """A fitted picture: its samples [h, w, 4], its run, and what was loaded from it."""

    source: np.ndarray
    config: Path
    picture: BakedPicture


@pytest.fixture(scope="module", params=SOURCES)
def fitted(
    request: pytest.FixtureRequest, fit: Callable[..., Path], photo: Path, tmp_path_factory: pytest.TempPathFactory
) -> Fitted:
    source = SOURCES[request.param](np.asarray(Image.open(photo))[:HEIGHT, :WIDTH]).round().astype(np.uint8)
    folder = tmp_path_factory.mktemp("transparency")
    Image.fromarray(source).save(folder / "source.png")
    config = fit(folder / "source.png", folder)
    return Fitted(source, config, load_baked(config))


def model_of(config: Path) -> GainerModel:
    return eval_setup(config)[1].model


def levels(values: torch.Tensor) -> np.ndarray:
    return (values.numpy() * 255).round().astype(np.uint8)


def test_alpha_and_colours_are_exact(fitted: Fitted) -> None:
    rgb, alpha = fitted.picture.raster()
    seen = fitted.source[..., 3] > 0
    np.testing.assert_array_equal(levels(alpha)[..., 0], fitted.source[..., 3])
    np.testing.assert_array_equal(levels(rgb)[seen], fitted.source[seen][:, :3])
    clear, solid = (alpha[..., 0].numpy()[fitted.source[..., 3] == end] for end in (0, 255))
    assert not clear.any() and (solid == 1).all(), "not only nearly"


def test_enlarged_it_stays_solid_and_clear(fitted: Fitted) -> None:
    """Wherever all pixels around are."""
    alpha = fitted.picture.raster(5.0)[1].view(HEIGHT, 5, WIDTH, 5).numpy()
    padded = np.pad(fitted.source[..., 3], 1, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    solid, clear = (around == 255).all(axis=(2, 3)), (around == 0).all(axis=(2, 3))
    assert solid.sum() > 50 and clear.sum() > 50
    assert (alpha.min(axis=(1, 3))[solid] > 0.98).all()
    assert (alpha.max(axis=(1, 3))[clear] < 0.02).all()


def test_outputs(fitted: Fitted) -> None:
    """Over the background, in a camera and along rays."""
    pipeline = eval_setup(fitted.config)[1]
    camera, _ = next(iter(pipeline.datamanager.fixed_indices_eval_dataloader))
    outputs = pipeline.model.get_outputs_for_camera(camera)
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {"rgb": (HEIGHT, WIDTH, 3), "accumulation": (HEIGHT, WIDTH, 1), "depth": (HEIGHT, WIDTH, 1)}
    np.testing.assert_array_equal(levels(outputs["accumulation"])[..., 0], fitted.source[..., 3])
    opacity = fitted.source[..., 3:] / 255
    over_white = fitted.source[..., :3] / 255 * opacity + 1 - opacity
    np.testing.assert_allclose(outputs["rgb"].numpy(), over_white, rtol=0, atol=0.6 / 255)
    assert bool((outputs["depth"] >= 1).all())
    rays = camera.generate_rays(camera_indices=0, keep_shape=True)
    along = pipeline.model.get_outputs(rays.flatten())
    for name, value in outputs.items():
        if name != "depth":
            # At a pixel's centre the farthest neighbours are equally far: rounding decides which of them are read.
            torch.testing.assert_close(along[name].view(value.shape), value, rtol=0, atol=0.02)
    rgba = pipeline.model.get_rgba_image(outputs).numpy()
    well_seen = opacity[..., 0] > 0.5
    np.testing.assert_allclose(rgba[well_seen][:, :3], fitted.source[well_seen][:, :3] / 255, rtol=0, atol=1 / 255)


def test_gainer_render_keeps_alpha(fitted: Fitted, tmp_path: Path) -> None:
    entrypoint(["render", "--load-config", str(fitted.config), "--output", str(tmp_path / "out.png")])
    written = np.asarray(Image.open(tmp_path / "out.png"))
    seen = fitted.source[..., 3] > 0
    assert written.shape == fitted.source.shape
    np.testing.assert_array_equal(written[seen], fitted.source[seen])
    assert not written[~seen].any()


def test_a_checkpoint_keeps_the_opacities(fitted: Fitted) -> None:
    """However it is loaded: by gainer, and by nerfstudio's tools."""
    opacities, again = fitted.picture.gaussians.opacities, load_baked(fitted.config).gaussians.opacities
    model = model_of(fitted.config)
    assert opacities is not None and again is not None and model.encoding.opacities is not None
    assert torch.equal(opacities, again) and torch.equal(opacities, model.encoding.opacities)
    assert model.has_alpha and model.fitted().has_alpha


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_a_stored_picture_keeps_every_level_of_alpha(bits: int, fitted: Fitted, tmp_path: Path) -> None:
    save_picture(fitted.picture, tmp_path / "picture.safetensors", bits)  # type: ignore[arg-type]
    rgb, alpha = load_picture(tmp_path / "picture.safetensors").raster()
    np.testing.assert_array_equal(levels(alpha)[..., 0], fitted.source[..., 3])
    seen = fitted.source[..., 3] > 0
    error = rgb.numpy()[seen] - fitted.source[seen][:, :3] / 255
    assert -10 * np.log10(np.square(error).mean() + 1e-20) > (70 if bits == 32 else 50)


def test_metrics_of_ns_eval(fitted: Fitted, tmp_path: Path) -> None:
    ComputePSNR(fitted.config, tmp_path / "output.json", tmp_path / "pictures").main()
    results = json.loads((tmp_path / "output.json").read_text())["results"]
    assert results["psnr"] > 70 and results["exact_share"] > 0.99  # blended, values may lie on .5
    side_by_side = np.asarray(Image.open(tmp_path / "pictures" / "eval_img_0000.png")).astype(int)
    assert abs(side_by_side[:, :WIDTH] - side_by_side[:, WIDTH:]).max() <= 1
