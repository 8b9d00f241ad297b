"""Fits and films on a cluster of two workers on this machine, one of which dies."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gainer_ns as gn
from gainer_ns.cli import fit as cli_fit
from gainer_ns.cli.main import entrypoint
from gainer_ns.cluster import in_order
from gainer_ns.errors import GainerError
from gainer_ns.fitting import pixel_fit
from gainer_ns.rendering import bands
from gainer_ns.rendering.plane import BakedPicture

pytest.importorskip("ray", reason="needs Ray: pip install 'gainer-ns[ray]'")

SCRIPT = {"edits": [{"bend": {"degrees": 40, "axis": [["50%", "90%"], ["50%", "10%"]]}}], "frames": 24}


@pytest.fixture
def cluster() -> Iterator[tuple[Any, Any]]:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    worker = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster, worker
    cluster.shutdown()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    y, x = np.mgrid[:40, :56]
    paths = [tmp_path / f"photo{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        waves = np.stack([np.sin((1 + k) * x / 9 + number) * np.cos(y / (5 + k)) for k in range(3)], axis=2)
        Image.fromarray((127.5 + 127 * waves).astype(np.uint8)).save(path)
    return paths


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["gainer", *map(str, words)])
    entrypoint()


def test_a_cluster_comes_to_the_same_as_this_process(
    cluster: Any,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One cluster serves all, as it takes seconds to start: work in order, fits, and a film, while a worker dies."""
    machines, worker = cluster

    def slowly(_: None, number: int) -> int:
        time.sleep(0.3)
        return number * number

    def refuse(_: None, number: int) -> int:
        if number == 2:
            raise GainerError("two: is refused; take another")
        return number

    found = in_order(machines.address, slowly, None, range(12))
    first = next(found)
    machines.remove_node(worker, allow_graceful=False)
    assert [first, *found] == [number * number for number in range(12)]
    with pytest.raises(GainerError, match=r"^two: is refused; take another$"):
        list(in_order(machines.address, refuse, None, range(4)))

    cut, tall, clear = (tmp_path / f"{name}.png" for name in ("cut", "tall", "clear"))  # two that are large, one whole
    cut.write_bytes(photos[0].read_bytes()[:900])
    samples = np.random.default_rng(0).integers(0, 256, (300, 24, 4), np.uint8)
    Image.fromarray(samples[..., :3]).save(tall)
    Image.fromarray(samples).save(clear)
    monkeypatch.setattr(cli_fit, "LARGE_PIXELS", len(samples) * 24)
    monkeypatch.setattr(pixel_fit, "BAND_PIXELS", 1)
    photos = [photos[0], tall, clear, *photos[1:]]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, "fit", *photos, cut, "--output", tmp_path / "there", "--ray", machines.address)
    said = capsys.readouterr().out
    assert f"Passed over {cut}: " in said and "7 of 8 pictures were fitted" in str(caught.value)
    run(monkeypatch, "fit", *photos, "--output", tmp_path / "here")
    assert next(line for line in capsys.readouterr().out.splitlines() if "tall" in line).split(": ")[1] in said
    for photo in photos:
        here, there = ((tmp_path / where / f"{photo.stem}.safetensors").read_bytes() for where in ("here", "there"))
        assert here == there

    picture = gn.load(tmp_path / "here" / "photo0.safetensors")
    fall = picture.simulate({"bodies": [{"material": "soft"}], "duration": 0.3}, particles=200)
    for name, film in (("edited", picture.frames(SCRIPT)), ("simulated", fall)):
        film.save(tmp_path / f"{name}_here")
        film.save(tmp_path / f"{name}_there", ray=machines.address)
        here, there = (sorted((tmp_path / f"{name}_{where}").iterdir()) for where in ("here", "there"))
        assert len(here) == len(there) == len(film)
        for one, other in zip(here, there, strict=True):
            assert_alike(one, other)

    monkeypatch.setattr(bands, "BAND_POINTS", 1)
    monkeypatch.setattr(BakedPicture, "block_points", 1 << 12)
    still = tmp_path / "still.yaml"
    still.write_text(json.dumps({"edits": SCRIPT["edits"]}))
    tall = tmp_path / "here" / "tall.safetensors"
    for words in (("render", "--scale", 2), ("edit", "--script", still)):
        here, there = tmp_path / f"{words[0]}_here.png", tmp_path / f"{words[0]}_there.png"
        run(monkeypatch, *words, "--load-config", tall, "--output", here)
        run(monkeypatch, *words, "--load-config", tall, "--output", there, "--ray", machines.address)
        assert_alike(here, there)


def assert_alike(one: Path, other: Path) -> None:
    """Assert that two pictures are the same but for how samples are rounded."""
    first, second = (np.asarray(Image.open(path)).astype(int) for path in (one, other))
    assert first.shape == second.shape and np.abs(first - second).max() <= 1


def test_fitting_goes_on_where_it_was_stopped(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "fit", *photos[:2], "--output", tmp_path / "fitted")
    before = (tmp_path / "fitted" / "photo0.safetensors").stat().st_mtime_ns
    run(monkeypatch, "fit", *photos, "--output", tmp_path / "fitted", "--resume")
    assert "Left out 2 of 5 pictures" in capsys.readouterr().out
    assert (tmp_path / "fitted" / "photo0.safetensors").stat().st_mtime_ns == before
    assert len(list((tmp_path / "fitted").iterdir())) == 5


@pytest.mark.parametrize("command", ["edit --script", "simulate --scene", "bind --frames . --reference"])
def test_a_cluster_that_is_not_there_is_told_first(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = tmp_path / "fitted.safetensors"
    fitted.write_bytes(b"never read")
    words = ["--load-config", fitted, "--output", tmp_path / "film", "--ray", "127.0.0.1:1"]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *command.split(), fitted, *words)
    assert "--ray 127.0.0.1:1: no cluster answers there" in f"{caught.value}{capsys.readouterr()}"


def test_what_cannot_be_spread_is_refused(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = tmp_path / "depth.npy"
    np.save(depth, np.full((40, 56), 2.0, np.float32))
    lifted = gn.lift(photos[0], depth=depth)
    with pytest.raises(GainerError, match="one picture is divided if it is flat"):
        next(lifted.frames({"move": {"by": [3, 0]}}).drawn_on("127.0.0.1:1"))

    fitted, script = tmp_path / "fitted.safetensors", tmp_path / "script.yaml"
    gn.fit(photos[0]).save(fitted)
    script.write_text(json.dumps(SCRIPT))
    monkeypatch.setattr("gainer_ns.cli.edit.check_cluster", lambda address: None)
    words = ["--load-config", fitted, "--script", script, "--output", tmp_path / "edited.safetensors"]
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, "edit", *words, "--ray", "auto")
    assert "is not drawn, so there is nothing to spread; leave out --ray" in f"{caught.value}{capsys.readouterr()}"
