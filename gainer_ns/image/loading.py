"""A fitted picture from what a user names: a run's config.yml, or an exported file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from nerfstudio.data.scene_box import SceneBox
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.image.checkpoints import LOAD_ERRORS, newest_whole_checkpoint
from gainer_ns.image.picture_model import PictureFacts, PictureModel, PictureModelConfig
from gainer_ns.rendering.drawable import Drawable
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.rendering.storage import load_picture

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig


def load_baked(path: Path, device: torch.device | str | None = None) -> BakedPicture:
    """Loads a fitted picture of Gaussians; the source image is not needed.

    Args:
        path: A run's config.yml, or a .safetensors file of ``gainer export``.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If there is no such file, or it is not a fitted picture of Gaussians.
    """
    return as_baked(load_drawable(path, device), path)


def as_baked(picture: Any, path: Path) -> BakedPicture:
    """A loaded picture as one of Gaussians.

    Raises:
        GainerError: If it is none, naming the path that it was loaded from.
    """
    if not isinstance(picture, BakedPicture):
        raise GainerError(f"{path}: not made of Gaussians; give the config.yml of ns-train gainer")
    return picture


def load_drawable(path: Path, device: torch.device | str | None = None) -> Drawable:
    """Loads a fitted picture, whatever it is made of; see :func:`load_baked`."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if path.suffix == ".safetensors":
        return load_picture(path).to(device)
    if not path.is_file():
        raise GainerError(f"{path}: there is no such file; give a run's config.yml or an exported .safetensors file")
    config = read_run(path)
    recipe = config.pipeline.model
    if not isinstance(recipe, PictureModelConfig):
        raise GainerError(f"{path}: not a run of a 2D gainer method; give the config.yml of ns-train gainer")
    with checkpoint_of(config, path) as state:
        model: PictureModel = recipe.setup(
            scene_box=SceneBox(torch.tensor([[-0.5] * 3, [0.5] * 3])),
            num_train_data=1,
            metadata=PictureFacts(*state["picture_facts"].tolist()).metadata(),
        )
        model.load_state_dict(state)
    return model.eval().to(device).fitted()


def read_run(path: Path) -> TrainerConfig:
    """The configuration of a run, by its config.yml.

    Raises:
        GainerError: If it is none.
    """
    from nerfstudio.engine.trainer import TrainerConfig  # seconds that exported files need not pay

    if not path.is_file():
        raise GainerError(f"{path}: there is no such file; give a run's config.yml")
    try:
        # nerfstudio's own format; like ns-render, this trusts the configuration files it is given.
        config = yaml.load(path.read_text("utf8"), Loader=yaml.Loader)
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, ImportError, TypeError) as error:
        raise GainerError(f"{path}: not a configuration of ns-train; give a run's config.yml") from error
    if not isinstance(config, TrainerConfig):
        raise GainerError(f"{path}: not a configuration of ns-train; give a run's config.yml")
    return config


@contextmanager
def checkpoint_of(config: TrainerConfig, path: Path) -> Iterator[dict[str, Tensor]]:
    """The model's tensors in the newest whole checkpoint of a run.

    Args:
        config: The run's configuration.
        path: Its config.yml.

    Raises:
        GainerError: If there is no whole one, or what is done with it shows that it does not fit.
    """
    folder = path.parent / config.relative_model_dir
    # A resumed run was told which step to load from the folder of another run.
    step = newest_whole_checkpoint(folder, config.load_step if config.load_dir is None else None)
    checkpoint = folder / f"step-{step:09d}.ckpt"
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["pipeline"]
        yield {name.removeprefix("_model."): value for name, value in state.items() if name.startswith("_model.")}
    except GainerError:
        raise
    except LOAD_ERRORS as error:
        raise GainerError(f"{checkpoint}: does not fit {path.name}; fit the picture again") from error
