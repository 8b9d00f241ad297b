"""Where nerfstudio's viewer, a model and the panel meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gainer_ns.editing.selection import Selection
from gainer_ns.image.panel import PictureOverride, picture_override_context
from gainer_ns.rendering.redrawing import Redrawer
from gainer_ns.viewer.control import EditControl, say_who_can_reach


def test_who_can_reach_the_page_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        say_who_can_reach(host)
    assert not capsys.readouterr().out
    say_who_can_reach("0.0.0.0")
    assert "anyone who can reach this machine" in capsys.readouterr().out


def test_controls_of_a_training_are_there_only_while_something_trains(start: Callable[..., Any]) -> None:
    def shown(viewer: Any) -> list[str]:
        panel = viewer.control_panel
        controls = {
            "pause": viewer.pause_train,
            "resume": viewer.resume_train,
            "step": viewer.stats_markdown,
            "speed": panel._train_speed.gui_handle,
            "util": panel._train_util.gui_handle,
            "cameras": viewer.hide_images,
            "cameras again": viewer.show_images,
        }
        return [name for name, handle in controls.items() if handle.visible]

    assert shown(start()) == []
    trained = start(SimpleNamespace(training_state="training"))
    assert shown(trained) == ["pause", "step", "speed", "util"]
    trained.pipeline.model.panel.rest()  # as the trainer does when it is done, and the viewer is left open
    assert shown(trained) == []


def test_edits_are_seen_in_pages_and_nowhere_else(start: Callable[..., Any]) -> None:
    model = start().pipeline.model
    session = model.panel._session
    session.change(Selection(all=True), {"rotate": {"degrees": 5}})
    assert session.wait() and model.shown() is model.fitted() is not session.shown
    with picture_override_context(
        PictureOverride(model.panel.edit, is_draft=True, redrawer=Redrawer())
    ):  # as what draws for a page does
        assert model.shown() is session.shown


def test_a_viewer_that_is_left_open_after_the_fit_is_told(
    fit: Callable[..., Path], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[EditControl] = []

    def rest(control: EditControl) -> None:
        told.append(control)
        control.viewer.viser_server.stop()
        raise KeyboardInterrupt  # as a person ends a viewer that is left open

    monkeypatch.setattr(EditControl, "rest", rest)

    def left_open(config: Any) -> None:
        config.vis = "viewer+tensorboard"
        config.viewer.quit_on_train_completion = False
        config.pipeline.model.finish_steps = 1

    fit(photo, tmp_path, "gainer", left_open)
    assert len(told) == 1
