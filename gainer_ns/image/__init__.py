"""The 2D method as nerfstudio sees it: data parser, data manager, model, trainer, and runs read again."""

import warnings

import torch  # noqa: F401 (first, for it adds filters of its own)

# nerfstudio 1.1.5 calls what torch deprecates while these are imported. No user can mend that, so it is not said, by a
# filter that does not stay. ns-train and the like import them before any plugin: there nothing of ours is early enough.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r"`torch\.(jit\.script|cuda\.amp\.custom_)", FutureWarning)
    import nerfstudio.cameras.cameras
    import nerfstudio.field_components.activations  # noqa: F401
