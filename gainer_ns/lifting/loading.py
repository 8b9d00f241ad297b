"""A lifted photo from a run's config.yml."""

from __future__ import annotations

from pathlib import Path

import torch
from nerfstudio.data.scene_box import SceneBox

from gainer_ns.errors import GainerError
from gainer_ns.image.loading import checkpoint_of, read_run
from gainer_ns.lifting.facts import LiftFacts
from gainer_ns.lifting.model import LiftModel, LiftModelConfig
from gainer_ns.lifting.scene import LiftedScene


def load_lifted(path: Path, device: torch.device | str | None = None) -> LiftedScene:
    """Loads a lifted photo; neither the photo nor its depth is needed.

    Args:
        path: The config.yml of a run of gainer-lift.
        device: Where to put it; None for cuda where there is one.

    Raises:
        GainerError: If it is none.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    config = read_run(path)
    if not isinstance(config.pipeline.model, LiftModelConfig):
        raise GainerError(f"{path}: not a run of gainer-lift; give the config.yml of ns-train gainer-lift")
    with checkpoint_of(config, path) as state:
        model = LiftModel(
            config.pipeline.model,
            scene_box=SceneBox(torch.tensor([[-1.0] * 3, [1.0] * 3])),
            num_train_data=1,
            metadata={"facts": LiftFacts.from_tensor(state["lift_facts"]), "sheets": ()},
        )
        model.load_state_dict(state)
    model.eval()
    return model.to(device).fitted()
