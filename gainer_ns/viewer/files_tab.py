"""The tab that saves and loads: scripts that ``gainer edit`` reads, pictures and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gainer_ns.editing.film import write_film
from gainer_ns.editing.timing import frame_times
from gainer_ns.errors import GainerError
from gainer_ns.io.outputs import folder_output, output_for
from gainer_ns.viewer.desk import Desk
from gainer_ns.viewer.subject import AnyScript

NONE = "none yet"
LARGEST_UPLOAD = 1 << 20
"""Bytes of the largest script that the page may send."""
UPLOADED = "uploaded"
"""The name of the script that the page sent last."""


class FilesTab:
    """Builds the tab where the page is just being built.

    Args:
        desk: What the panel shares.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        gui, by_hand = desk.server.gui, desk.by_hand
        self._name = gui.add_text("Name", "edit", hint=f"Files go to {desk.files.folder}")
        kinds = {"script": ".yaml", "PNG": ".png", "film": ""}
        desk.buttons("Save", {kind: lambda _, suffix=suffix: self._save(suffix) for kind, suffix in kinds.items()})
        self._frames = gui.add_number("Frames", 24, min=2, max=1000, step=1)
        desk.buttons("Download", {"script": self._download_script, "PNG": self._download_picture})
        self._scripts = gui.add_dropdown("Scripts", self._names())
        desk.buttons("Script", {"load": lambda _: self._load(), "look again": lambda _: self._look()})
        upload = gui.add_upload_button("Upload a script", mime_type=".yaml,.yml")
        upload.on_upload(by_hand(lambda _: self._upload(upload.value.content)))

    def _names(self) -> tuple[str, ...]:
        return tuple(self._desk.files.names(".yaml")) or (NONE,)

    def _look(self) -> None:
        self._scripts.options = self._names()
        self._desk.say("Looked for scripts.")

    def _save(self, suffix: str) -> None:
        path = self._desk.files.path(self._name.value, suffix)
        if suffix == ".yaml":
            self._desk.files.write(path, self._script_text())
            self._look()
        else:
            self._write_picture(path, None if suffix else int(self._frames.value))
        self._desk.say(f"Saved {path}")

    def _script_text(self) -> bytes:
        script = self._desk.session.history.script
        if not script.edits:
            raise GainerError("there is nothing to save yet; move something first")
        return script.to_yaml(self._desk.files.folder).encode("utf8")

    def _write_picture(self, path: Path, frames: int | None) -> None:
        """What ``gainer edit`` would write for the script."""
        session = self._desk.session
        script = session.history.script
        at = session.subject.staged(script).at if script.edits else lambda _: session.subject.fitted
        times = frame_times(frames)
        camera, _ = session.subject.filmed(script, at(1.0))

        def drawn() -> Iterator[Any]:
            for time in times:
                yield session.subject.filmed(script, at(time))[1]

        self._desk.say("Drawing ...")
        path.parent.mkdir(parents=True, exist_ok=True)
        output = output_for(path, "picture") if frames is None else folder_output(path)
        fitted = session.subject.fitted
        bit_depth, profile = fitted.bit_depth, fitted.profile
        write_film(output, drawn(), camera, frames=len(times), bit_depth=bit_depth, profile=profile)

    def _download_script(self, event: Any) -> None:
        event.client.send_file_download(self._desk.files.path(self._name.value, ".yaml").name, self._script_text())

    def _download_picture(self, event: Any) -> None:
        path = self._desk.files.path(self._name.value, ".png")
        self._write_picture(path, None)
        event.client.send_file_download(path.name, path.read_bytes())
        self._desk.say(f"Saved {path}, and sent it.")

    def _load(self) -> None:
        if self._scripts.value == NONE:
            raise GainerError("there is no script yet; save one, or upload one")
        self._take(self._desk.session.subject.read(self._desk.files.path(self._scripts.value, ".yaml")))

    def _upload(self, content: bytes) -> None:
        if len(content) > LARGEST_UPLOAD:
            raise GainerError(f"the script has {len(content) >> 20} MB; scripts have at most 1")
        files = self._desk.files
        path = files.path(UPLOADED, ".yaml")
        files.write(path, content)
        try:
            script = self._desk.session.subject.read(path, enclosed=True)
            _refuse_models(script.model_dump())
        except GainerError:
            path.unlink()
            raise
        self._scripts.options = self._names()
        self._take(script)

    def _take(self, script: AnyScript) -> None:
        self._desk.session.history.replace(script)
        self._desk.session.refresh()
        self._desk.changed()
        self._desk.say(f"Loaded {len(script.edits)} edits.")


def _refuse_models(value: Any) -> None:
    """Refuses an uploaded script that names a model, which may bring code with it."""
    if isinstance(value, Mapping):
        if value.get("diffusers") is not None or value.get("lama") is not None:
            raise GainerError(
                "an uploaded script may not name a model; save it in the folder of the edits, and load it"
            )
        for each in value.values():
            _refuse_models(each)
