"""The registered methods; the numbers of the 2D ones are those of :mod:`gainer_ns.recipes`."""

from __future__ import annotations

import copy
from typing import Any

from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.pipelines.base_pipeline import VanillaPipelineConfig
from nerfstudio.plugins.types import MethodSpecification

from gainer_ns.devices import best_device
from gainer_ns.doors import end_in_one_line
from gainer_ns.fitting.schedules import CosineSchedule
from gainer_ns.fitting.trainer import ADAM_EPSILON
from gainer_ns.image.datamanager import PictureDataManagerConfig
from gainer_ns.image.fitted_model import FittedModelConfig
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.optimizers import BetasAdamConfig, CosineSchedulerConfig, StepsSchedulerConfig
from gainer_ns.image.trainer import PictureTrainerConfig
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.model import LiftModelConfig
from gainer_ns.recipes import RECIPES
from gainer_ns.viewer.config import EditPanelConfig

end_in_one_line()  # nerfstudio's programs import this module, whatever they do


def trainer_config(
    method_name: str,
    model: FittedModelConfig,
    optimizers: dict,
    datamanager: PictureDataManagerConfig | None = None,
    *,
    steps_per_log: int = 10,
    **options: Any,
) -> PictureTrainerConfig:
    """Return what all methods share: the best device, viewer and log, and no evaluation while fitting.

    nerfstudio's table of steps and its profile do without: the loop may be far longer than the fit.
    """
    return PictureTrainerConfig(
        method_name=method_name,
        pipeline=VanillaPipelineConfig(datamanager=datamanager or PictureDataManagerConfig(), model=model),
        optimizers=optimizers,
        machine=MachineConfig(device_type=best_device()),
        vis="viewer+tensorboard",
        viewer=ViewerConfig(websocket_host="127.0.0.1", quit_on_train_completion=True),
        logging=LoggingConfig(
            steps_per_log=steps_per_log, local_writer=LocalWriterConfig(enable=False), profiler="none"
        ),
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_eval_all_images=0,
        **options,
    )


def adam_config(
    rate: float,
    scheduler: CosineSchedulerConfig | StepsSchedulerConfig,
    betas: tuple[float, float] = (0.9, 0.999),
) -> dict[str, Any]:
    """Return Adam and its schedule, for one group of parameters."""
    return {"optimizer": BetasAdamConfig(lr=rate, eps=ADAM_EPSILON, betas=betas), "scheduler": scheduler}


def _picture_method(name: str, description: str, **options: Any) -> MethodSpecification:
    """Return a 2D method by its recipe."""
    recipe, adam = RECIPES[name]
    kind = CosineSchedulerConfig if isinstance(adam.schedule, CosineSchedule) else StepsSchedulerConfig
    model = GainerModelConfig(panel=EditPanelConfig(), **copy.deepcopy(vars(recipe)))
    groups = {group: adam_config(rate, kind(**vars(adam.schedule)), adam.betas) for group, rate in adam.rates.items()}
    return MethodSpecification(trainer_config(name, model, groups, **options), description)


gainer = _picture_method(
    "gainer",
    "GaINeR on one picture: a Gaussian a pixel, solved in closed form, every 8-bit value exact.",
    steps_per_save=500,
    steps_per_log=1,
)
gainer_paper = _picture_method(
    "gainer-paper",
    "GaINeR as the paper has it: 500,000 uniform Gaussians, hash-grid features, 30,000 steps of Adam.",
    steps_per_save=2000,
)
gainer_compact = _picture_method(
    "gainer-compact",
    "GaINeR with few learned Gaussians, 0.18 a pixel: 44 to 51 dB in a minute or two. For small files take a codec, "
    "for quality and speed gainer.",
    steps_per_save=500,
)
gainer_lift = MethodSpecification(
    config=trainer_config(
        "gainer-lift",
        LiftModelConfig(panel=EditPanelConfig()),
        {group: adam_config(1e-3, CosineSchedulerConfig()) for group in ("decoder", "features")},
        LiftDataManagerConfig(),
        steps_per_save=500,
        steps_per_log=1,
    ),
    description="GaINeR in space: one photo, lifted by its depth, rendered by nerfstudio's volumetric pipeline.",
)
