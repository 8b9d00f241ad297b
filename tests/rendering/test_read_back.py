"""Frames brought to the host."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from gainer_ns.rendering import read_back
from gainer_ns.rendering.compositing import Raster


def frames(told: list[str]) -> Iterator[Raster]:
    for number in range(3):
        told.append(f"drawn {number}")
        yield Raster(torch.full((2, 2, 3), float(number)), torch.ones(2, 2))


def test_frames_pass_where_there_is_no_gpu() -> None:
    told: list[str] = []
    for number, frame in enumerate(read_back.on_host(frames(told))):
        assert frame.colours[0, 0, 0] == number
        assert told[-1] == f"drawn {number}", "none is drawn ahead"


def test_a_frame_is_waited_for_once_the_next_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(read_back, "_begin_copy", torch.Tensor.clone)
    monkeypatch.setattr(read_back, "_mark", lambda: SimpleNamespace(synchronize=lambda: told.append("waited")))
    found = [float(frame.colours.mean()) for frame in read_back.on_host(frames(told))]
    assert found == [0, 1, 2]
    assert told == ["drawn 0", "drawn 1", "waited", "drawn 2", "waited", "waited"]
