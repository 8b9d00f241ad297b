"""What the tests of stored pictures share: edited pictures, and files whose parts are changed by hand."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import save

from gainer_ns.editing.script import Script, ScriptLayer
from gainer_ns.editing.stage import Stage
from gainer_ns.rendering.plane import BakedPicture
from gainer_ns.storage.deflated import inflated
from gainer_ns.storage.means import Bits
from gainer_ns.storage.picture_files import picture_bytes

_LAID = ScriptLayer.model_construct(place=(5.0, 2.0), scale=0.75, order="front")


class ChangedFile:
    """A stored picture with another header or other tensors, none of which is deflated any more."""

    def __init__(self, picture: BakedPicture, path: Path, bits: Bits = 32) -> None:
        self.path = path
        path.write_bytes(picture_bytes(picture, bits))
        with safe_open(path, framework="pt") as file:
            self.metadata = file.metadata()
            self.tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        self.header = json.loads(self.metadata["header"])
        self.tensors |= inflated(self.header.pop("deflated", {}), self.tensors)

    def set(self, key: str, value: Any) -> None:
        """Changes the header wherever it has this key."""
        places = [self.header, *self.header["layers"], *self.header["decoders"]]
        (place,) = [place for place in places if key in place]
        place[key] = value

    def write(self) -> Path:
        self.metadata["header"] = json.dumps(self.header)
        self.path.write_bytes(save(self.tensors, self.metadata))
        return self.path


@pytest.fixture
def changed_file(tmp_path: Path) -> Callable[..., ChangedFile]:
    """``changed_file(picture, bits)``: its file, whose ``header`` and ``tensors`` may be changed before ``write()``."""

    def make(picture: BakedPicture, bits: Bits = 32) -> ChangedFile:
        return ChangedFile(picture, tmp_path / "changed.safetensors", bits)

    return make


@pytest.fixture(scope="session")
def edited() -> Callable[..., BakedPicture]:
    """``edited(picture, *edits, other=None)``: the picture after these edits, with another one laid over it."""

    def make(picture: BakedPicture, *edits: Mapping[str, Any], other: BakedPicture | None = None) -> BakedPicture:
        script = Script.model_validate({"edits": list(edits)})
        if other is not None:
            script = script.model_copy(update={"layers": {"other": _LAID}})
        return Stage(script, picture, None if other is None else {"other": other}).at(1.0)

    return make
