import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from nerfstudio.scripts.viewer import run_viewer
from nerfstudio.scripts.viewer.run_viewer import RunViewer
from safetensors.torch import save

Gainer = Callable[..., None]
Refusal = Callable[..., str]


@pytest.fixture
def viewers(monkeypatch: pytest.MonkeyPatch) -> list[RunViewer]:
    """The viewers that were started; none runs."""
    started: list[RunViewer] = []
    monkeypatch.setattr(RunViewer, "main", lambda viewer: started.append(viewer))
    return started


def test_this_machine_only_unless_told_otherwise(gainer: Gainer, fitted_run: Path, viewers: list[RunViewer]) -> None:
    gainer("view", "--load-config", fitted_run)
    (viewer,) = viewers
    assert viewer.load_config == fitted_run
    assert viewer.viewer.websocket_host == "127.0.0.1"
    assert viewer.viewer.websocket_port is None


def test_a_wider_host_is_passed_on(gainer: Gainer, fitted_run: Path, viewers: list[RunViewer]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gainer("view", "--load-config", fitted_run, "--host", "0.0.0.0", "--port", port)
    assert viewers[0].viewer.websocket_host == "0.0.0.0"
    assert viewers[0].viewer.websocket_port == port


@pytest.mark.parametrize("options", [["--port", "99999"], ["--port", "0"], ["--host", "192.0.2.1"]], ids=" ".join)
def test_addresses_that_cannot_be_listened_on_are_refused(
    options: list[str], refusal: Refusal, fitted_run: Path, viewers: list[RunViewer]
) -> None:
    assert options[1] in refusal("view", "--load-config", fitted_run, *options)
    assert not viewers


def test_a_port_that_is_taken_is_refused(refusal: Refusal, fitted_run: Path, viewers: list[RunViewer]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert "in use" in refusal("view", "--load-config", fitted_run, "--port", port)
    assert not viewers


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("none.safetensors", None, "no such file"),
        ("cut.safetensors", b"\x10\0\0\0\0\0\0\0{}", "damaged or cut short"),
        ("other.safetensors", save({"weight": torch.ones(2)}), "not a picture of gainer"),
        ("config.yml", None, "no such file"),
        ("config.yml", b"", "config.yml"),
    ],
)
def test_what_cannot_be_shown_is_said_before_the_viewer_starts(
    name: str, content: bytes | None, complaint: str, refusal: Refusal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run_viewer, "_start_viewer", lambda *_: pytest.fail("it was started"))
    if content is not None:
        (tmp_path / name).write_bytes(content)
    said = refusal("view", "--load-config", tmp_path / name)
    assert said.startswith(str(tmp_path / name)) and complaint in said
