import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from nerfstudio.scripts.viewer.run_viewer import RunViewer

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


def test_only_runs_are_viewed(refusal: Refusal, viewers: list[RunViewer], tmp_path: Path) -> None:
    assert "config.yml" in refusal("view", "--load-config", tmp_path / "photo.safetensors")
    assert "no such file" in refusal("view", "--load-config", tmp_path / "config.yml")
    assert not viewers
