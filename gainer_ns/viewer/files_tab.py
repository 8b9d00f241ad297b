"""The panel's files: scripts as they change, and the tab that saves and loads scripts, pictures and frames."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gainer_ns.editing.film_length import DEFAULT_FPS
from gainer_ns.editing.script import Script
from gainer_ns.editing.shots import write_film
from gainer_ns.errors import GainerError
from gainer_ns.io.outputs import FILMS, folder_output, output_for
from gainer_ns.viewer.context import PanelContext
from gainer_ns.viewer.film_tab import film_times
from gainer_ns.viewer.worker import LatestWorker

AUTOSAVE_SECONDS = 0.2
"""Seconds between two times that the script is written while something is dragged."""


class Autosave:
    """The file that keeps a session's script as it changes."""

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        self.path: Path = context.files.autosave
        self._kept: Script = context.subject.empty()
        self._worker = LatestWorker()

    def restore(self) -> None:
        """Go on with what was kept, and says so; what cannot be read is put aside."""
        if not self.path.is_file():
            return
        try:
            self._kept = self._context.subject.read(self.path)
        except GainerError as error:
            aside = self.path.with_stem(f"{self.path.stem}_unreadable")
            os.replace(self.path, aside)
            self._context.complain(f"The edits of last time are not restored, and are kept as {aside.name}: {error}")
            return
        self._context.take(self._kept)
        self._context.say(f"Restored {len(self._kept.edits)} edits of last time. Reset, in the tab Move, starts anew.")

    def keep(self, script: Script) -> None:
        """Keep a script, soon and in another thread; an empty one by taking the file away."""
        if script is not self._kept:
            self._kept = script
            self._worker.ask(lambda: self._write(script))

    def wait(self) -> bool:
        """Wait until all is kept, and return whether it is."""
        return self._worker.wait()

    def _write(self, script: Script) -> None:
        try:
            if script.edits:
                self._context.files.write(self.path, script.to_yaml(self.path.parent).encode("utf8"))
            else:
                self.path.unlink(missing_ok=True)
        except (GainerError, OSError) as error:
            self._context.complain(f"The edits are not kept: {error}")
        time.sleep(AUTOSAVE_SECONDS)


SCENE = ".scene"
"""End of the names of scenes, which are no scripts, without their suffix."""
NO_SCRIPTS, FOLDER = "none yet", "frames in a folder"
MAX_UPLOAD_BYTES = 1 << 20
"""Bytes of the largest script that the page may send."""
UPLOAD_NAME = "uploaded"
"""The name of the script that the page sent last."""


class FilesTab:
    """The tab, built where the page is just being built."""

    def __init__(self, context: PanelContext) -> None:
        self._context = context
        gui, by_user = context.server.gui, context.by_user
        self._name = gui.add_text("Name", "edit", hint=f"Files go to {context.files.folder}")
        kinds = {"script": lambda _: self._save_script(), "PNG": lambda _: self._save_picture(".png")}
        context.buttons("Save", {**kinds, "film": lambda _: self._save_picture(self._kind.value, is_film=True)})
        self._kind = gui.add_dropdown("Film as", (FOLDER, *FILMS), initial_value=".mp4", hint="See Film for its length")
        context.buttons("Download", {"script": self._download_script, "PNG": self._download_picture})
        self._scripts = gui.add_dropdown("Scripts", self._names())
        context.buttons("Script", {"load": lambda _: self._load(), "look again": lambda _: self._look()})
        upload = gui.add_upload_button("Upload a script", mime_type=".yaml,.yml")
        upload.on_upload(by_user(lambda _: self._upload(upload.value.content)))

    def _names(self) -> tuple[str, ...]:
        names = self._context.files.names(".yaml")
        return tuple(name for name in names if not name.endswith(SCENE)) or (NO_SCRIPTS,)

    def _look(self) -> None:
        self._scripts.options = self._names()
        self._context.say("Looked for scripts.")

    def _save_script(self) -> None:
        path = self._context.files.path(self._name.value, ".yaml")
        self._context.files.write(path, self._script_text())
        self._look()
        self._context.say(f"Saved {path}")

    def _save_picture(self, suffix: str, *, is_film: bool = False) -> None:
        path = self._context.files.path(self._name.value, "" if suffix == FOLDER else suffix)
        self._write_picture(path, is_film=is_film)
        self._context.say(f"Saved {path}")

    def _script_text(self) -> bytes:
        script = self._context.session.history.script
        if not script.edits:
            raise GainerError("there is nothing to save yet; move something first")
        return script.to_yaml(self._context.files.folder).encode("utf8")

    def _write_picture(self, path: Path, *, is_film: bool = False) -> None:
        """Write what ``gainer edit`` would write for the script."""
        session = self._context.session
        subject, script = session.subject, session.history.script
        times, fps = film_times(script) if is_film else ([1.0], DEFAULT_FPS)
        frames = len(times)
        output = folder_output(path) if not path.suffix else output_for(path, "film" if is_film else "picture")
        depth = output.bit_depth(None, subject.fitted.bit_depth, frames)
        self._context.say("Drawing ...")
        stage = subject.staged(script)
        at = stage.at if script.edits else lambda _: subject.fitted
        shots = (subject.filmed(at(time)) for time in times)
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = subject.fitted.profile
        drawn = map(subject.camera(script, stage).draw, shots)
        write_film(output, drawn, frames=frames, fps=fps, bit_depth=depth, profile=profile)

    def _download_script(self, event: Any) -> None:
        event.client.send_file_download(self._context.files.path(self._name.value, ".yaml").name, self._script_text())

    def _download_picture(self, event: Any) -> None:
        path = self._context.files.path(self._name.value, ".png")
        self._write_picture(path)
        event.client.send_file_download(path.name, path.read_bytes())
        self._context.say(f"Saved {path}, and sent it.")

    def _load(self) -> None:
        if self._scripts.value == NO_SCRIPTS:
            raise GainerError("there is no script yet; save one, or upload one")
        self._take(self._context.subject.read(self._context.files.path(self._scripts.value, ".yaml")))

    def _upload(self, content: bytes) -> None:
        if len(content) > MAX_UPLOAD_BYTES:
            raise GainerError(f"the script has {len(content) >> 20} MB; scripts have at most 1")
        files = self._context.files
        path = files.path(UPLOAD_NAME, ".yaml")
        files.write(path, content)
        try:
            script = self._context.subject.read(path, enclosed=True)
            _refuse_models(script.model_dump())
        except GainerError:
            path.unlink()
            raise
        self._scripts.options = self._names()
        self._take(script)

    def _take(self, script: Script) -> None:
        self._context.take(script)
        self._context.say(f"Loaded {len(script.edits)} edits.")


def _refuse_models(value: Any) -> None:
    """Refuse an uploaded script that names a model, which may bring code with it."""
    if isinstance(value, Mapping):
        if value.get("diffusers") is not None or value.get("lama") is not None:
            raise GainerError(
                "an uploaded script may not name a model; save it in the folder of the edits, and load it"
            )
        for each in value.values():
            _refuse_models(each)
