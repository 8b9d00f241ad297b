"""Networks of transformers, found without asking anybody, and what is said where they are not."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import torch

from gainer_ns.errors import GainerError
from gainer_ns.preparation.config import PreparationError
from gainer_ns.preparation.networks import DEPTH, SEGMENTATION, Purpose, load_network

pytest.importorskip("transformers", reason="transformers, the extra hf, is not installed")


@pytest.mark.parametrize("purpose", [DEPTH, SEGMENTATION], ids=lambda purpose: purpose.name)
def test_nobody_is_asked_for_a_model_of_the_hub_until_told_to(
    purpose: Purpose, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        asked.append(arguments)
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)  # Names are looked up first.
    with pytest.raises(GainerError) as caught:
        load_network(purpose, "somebody/network-that-is-not-here", download=False, dtype=torch.float32)
    assert not asked
    assert str(caught.value) == (
        f"{purpose.model} somebody/network-that-is-not-here is not on this machine; allow its download, "
        f"name another model, or {purpose.instead}"
    )
    assert isinstance(caught.value, PreparationError)
    options = purpose.instead_option, f"{purpose.name}.download True", f"{purpose.name}.model FOLDER"
    assert str(caught.value.with_options("--")).endswith(f" (--{', --'.join(options)})")


def test_purposes_name_what_transformers_has() -> None:
    import transformers
    from transformers.models.auto import modeling_auto

    for purpose in (DEPTH, SEGMENTATION):
        assert callable(getattr(transformers, purpose.loader).from_pretrained)
        assert callable(getattr(transformers, purpose.processor).from_pretrained)
        assert getattr(modeling_auto, purpose.kinds)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA out of\nmemory"), "x: memory ran out; choose a smaller model, or give a mask file"),
        (MemoryError(), "x: memory ran out"),
        (IndexError(), r"x: makes no masks here \(IndexError\); choose another model, or give"),
        (RuntimeError("many words " * 99), r"x: makes no masks here \((many words )+\w* ?\.\.\.\); choose"),
    ],
)
def test_a_network_at_work_fails_in_one_line(error: Exception, said: str) -> None:
    with pytest.raises(GainerError, match=said) as caught, SEGMENTATION.one_line("x"):
        raise error
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
