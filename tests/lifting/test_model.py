"""The 3D model: checkpoints, outputs, losses and metrics."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.metadata import LiftMetadata
from gainer_ns.lifting.model import LiftModel, LiftModelConfig
from gainer_ns.lifting.rgbd_layers import RgbdLayer


def fresh(camera: PinholeCamera, *rgbd_layers: RgbdLayer) -> LiftModel:
    metadata = LiftMetadata(camera, 3.0, metric=False, bit_depth=16)
    return LiftModel(
        LiftModelConfig(),
        scene_box=SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])),
        num_train_data=1,
        metadata={"photo": metadata, "layers": rgbd_layers},
    )


@pytest.fixture(scope="module")
def mask() -> Tensor:
    result = torch.zeros(36, 48)
    result[8:28, 12:36] = 1
    return result


@pytest.fixture(scope="module")
def model(
    camera: PinholeCamera, plane_depth: Any, colours_of: Any, lift: Any, rgbd_layer: Any, mask: Tensor
) -> LiftModel:
    """Two layers: a masked one, before a background on the right half."""
    near, far = plane_depth(camera, (0.2, 0.0, 1.0), 1.0), plane_depth(camera, (0.0, 0.3, 1.0), 2.0)
    far[:, :24] = 0
    return lift(
        camera, rgbd_layer(colours_of(camera), near * mask, mask), rgbd_layer(colours_of(camera), far), unit=1.5
    )


@pytest.fixture(scope="module")
def alone(camera: PinholeCamera, colours_of: Any, lift: Any, rgbd_layer: Any, mask: Tensor) -> LiftModel:
    """Only the masked object, 2 away."""
    return lift(camera, rgbd_layer(colours_of(camera), 2 * mask, mask), unit=2.0)


@pytest.fixture
def batch(camera: PinholeCamera, colours_of: Any, rays_from: Any, mask: Tensor) -> dict[str, Tensor]:
    """What the photo of ``alone`` tells, [36, 48, ...]."""
    slant = rays_from(camera).directions[:, 2].abs().view(36, 48)
    return {"image": colours_of(camera), "opacity": mask[..., None], "distance": (mask / slant)[..., None]}


def outputs_of(model: LiftModel, rays: Any) -> dict[str, Tensor]:
    """What the photo's camera sees [36, 48, ...]."""
    return {name: value.view(36, 48, -1) for name, value in model.get_outputs(rays).items()}


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_a_checkpoint_brings_its_own_sizes_and_layers(
    model: LiftModel, camera: PinholeCamera, rgbd_layer: Any, rays_from: Callable[..., Any], layers: int
) -> None:
    other = fresh(PinholeCamera.centred(5, 4, 9.0), *[rgbd_layer(torch.zeros(4, 5, 3), torch.ones(4, 5))] * layers)
    other.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    assert other.photo == model.photo and len(other.encodings) == 2
    for (name, one), value in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, value), name
    rays = rays_from(camera)
    for name, value in model.get_outputs(rays).items():
        assert torch.equal(value, other.get_outputs(rays)[name]), name


def test_the_pipeline_loads_it_under_a_prefix(model: LiftModel, camera: PinholeCamera, rgbd_layer: Any) -> None:
    """nerfstudio's pipeline strips its prefix, loads the model, and then loads what is left, leniently."""
    other = fresh(camera, rgbd_layer(torch.zeros(36, 48, 3), torch.ones(36, 48)))
    other.load_state_dict(model.state_dict())
    torch.nn.ModuleDict({"_model": other}).load_state_dict({}, strict=False)
    assert len(other.encodings) == 2 and other.photo == model.photo


@pytest.mark.parametrize(
    ("version", "found"), [(LiftModel.checkpoint_version + 1, str(LiftModel.checkpoint_version + 1)), (None, "none")]
)
def test_checkpoints_of_another_version(model: LiftModel, camera: PinholeCamera, version: Any, found: str) -> None:
    state = dict(model.state_dict())
    del state["version"]
    if version is not None:
        state["version"] = torch.tensor(version)
    with pytest.raises(GainerError, match=f"is of version {found}, this program reads") as caught:
        fresh(camera).load_state_dict(state)
    assert "\n" not in str(caught.value)


def test_facts_survive_a_checkpoint() -> None:
    camera = PinholeCamera(4001, 2999, (3210.123456789, 3200.5), (1999.25, 1500.75))
    metadata = LiftMetadata(camera, 0.1 + 0.2, metric=True, bit_depth=16)
    assert LiftMetadata.from_tensor(metadata.to_tensor()) == metadata


def test_outputs(model: LiftModel, camera: PinholeCamera, rays_from: Any) -> None:
    outputs = model.get_outputs(rays_from(camera))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "rgb": (1728, 3),
        "accumulation": (1728, 1),
        "depth": (1728, 1),
        "median_depth": (1728, 1),
    }
    assert all(value.isfinite().all() for value in outputs.values())
    assert float(outputs["rgb"].min()) >= 0 and float(outputs["rgb"].max()) <= 1


def test_a_rendering_follows_the_parameters(
    camera: PinholeCamera, lift: Any, rgbd_layer: Any, colours_of: Any, rays_from: Any
) -> None:
    model = lift(camera, rgbd_layer(colours_of(camera), torch.full((36, 48), 2.0)), unit=2.0)
    before = model.get_outputs(rays_from(camera))["rgb"]
    model.encodings[0].features_table.data.zero_()
    model.changed()
    assert float((model.get_outputs(rays_from(camera))["rgb"] - before).abs().max()) > 0.1


def test_the_background_goes_out_of_an_rgba_image(
    alone: LiftModel, camera: PinholeCamera, rays_from: Any, colours_of: Any, mask: Tensor, decibel: Any
) -> None:
    rgba = alone.get_rgba_image(outputs_of(alone, rays_from(camera)))
    assert rgba.shape == (36, 48, 4)
    inside = mask > 0
    assert decibel((rgba[..., :3] - colours_of(camera))[inside]) > 40
    assert float(rgba[inside][:, 3].min()) > 0.98 and (rgba[0] == 0).all()
    half = {"rgb": torch.tensor([[[0.6, 0.5, 1.0]]]), "accumulation": torch.tensor([[[0.5]]])}  # over white
    torch.testing.assert_close(alone.get_rgba_image(half), torch.tensor([[[0.2, 0.0, 1.0, 0.5]]]))


def test_losses_are_small_once_fitted(alone: LiftModel, batch: dict[str, Tensor], camera: Any, rays_from: Any) -> None:
    losses = alone.get_loss_dict(outputs_of(alone, rays_from(camera)), batch)
    assert set(losses) == {"rgb_loss", "accumulation_loss", "depth_loss"}
    assert all(float(loss.detach()) < limit for loss, limit in zip(losses.values(), (1e-3, 5e-3, 2e-3), strict=True))
    sum(losses.values()).backward()  # pyright: ignore


def test_metrics_of_what_was_lifted(alone: LiftModel, batch: dict[str, Tensor], camera: Any, rays_from: Any) -> None:
    outputs = outputs_of(alone, rays_from(camera))
    metrics, images = alone.get_image_metrics_and_images(outputs, batch)
    assert metrics["psnr"] > 40 and metrics["depth_error"] < 1e-3
    assert images["img"].shape == (36, 96, 3) and images["accumulation"].shape == (36, 48, 1)
    background = (batch["opacity"] == 0)[..., 0]
    assert (images["img"][:, :48][background] == 1).all()
    outside = {name: value.clone() for name, value in outputs.items()}
    for value in outside.values():
        value[background] = 0.3
    assert alone.get_image_metrics_and_images(outside, batch)[0] == pytest.approx(metrics, nan_ok=True)
    inside = {name: value.clone() for name, value in outputs.items()}
    for value in inside.values():
        value[~background] *= 0.9
    worse, _ = alone.get_image_metrics_and_images(inside, batch)
    assert worse["psnr"] < 35 and worse["depth_error"] == pytest.approx(0.1, abs=1e-3)


def test_metrics_of_rays(alone: LiftModel, batch: dict[str, Tensor], camera: Any, rays_from: Any) -> None:
    chosen = batch["opacity"].flatten() > 0
    rays = {name: value.flatten(0, 1)[chosen] for name, value in batch.items()}
    metrics = alone.get_metrics_dict(alone.get_outputs(rays_from(camera)[chosen]), rays)
    assert float(metrics["psnr"]) > 40 and math.isfinite(float(metrics["psnr"]))
    assert float(metrics["gaussians"]) == len(alone.encodings[0])  # pyright: ignore[reportArgumentType]


def test_the_same_photo_gives_the_same_bits(camera: PinholeCamera, lift: Any, rgbd_layer: Any, colours_of: Any) -> None:
    depth = torch.full((36, 48), 2.0)
    one, other = (lift(camera, rgbd_layer(colours_of(camera), depth)).state_dict() for _ in range(2))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def step(camera: PinholeCamera, rgbd_layer: Any) -> RgbdLayer:
    """A blue board before a red wall."""
    depth = torch.full((camera.height, camera.width), 2.0)
    depth[8:24, 12:30] = 1.0
    colours = torch.where((depth < 1.5)[..., None], torch.tensor([0.1, 0.2, 0.9]), torch.tensor([0.8, 0.1, 0.1]))
    return rgbd_layer(colours, depth)


def test_what_an_edge_hides_is_a_layer_of_its_own(camera: PinholeCamera, step: RgbdLayer, lift: Any) -> None:
    scene = lift(camera, step, behind_edges=True).fitted()
    shown, hidden, beyond = scene.layers
    assert scene.shown_layers == (shown,) and shown.hidden_of is None and hidden.hidden_of == beyond.hidden_of == 0
    solid = hidden.opacities > 0.5
    decoded = hidden.decoded[solid, :3]
    assert (decoded - torch.tensor([0.8, 0.1, 0.1])).abs().max() < 0.05, "the wall goes on"
    wall = step.depth.flatten()[hidden.pixels.long()] == 2
    assert wall.all(), "and is edited with it"
    assert len(lift(camera, step, behind_edges=False).fitted().layers) == 1


def test_layers_follow_the_checkpoint(camera: PinholeCamera, step: RgbdLayer, lift: Any) -> None:
    model = lift(camera, step)
    for behind, hidden_of in ((False, [None]), (True, [None, 0, 0])):
        model.load_state_dict(lift(camera, step, behind_edges=behind).state_dict())
        assert [layer.hidden_of for layer in model.fitted().layers] == hidden_of
