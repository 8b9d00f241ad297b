"""Everyday picture files beside the models."""

from pathlib import Path

import pytest

from gainer_bench.benchmark.cell import run_cell
from gainer_bench.benchmark.codecs import CODECS, Codec, coded
from gainer_bench.benchmark.series import over_bytes
from gainer_bench.benchmark.suite import read_suite
from gainer_ns.io.image_io import read_picture


@pytest.mark.parametrize("codec", CODECS)
def test_better_files_are_larger(codec: Codec, photo: Path) -> None:
    line = coded(read_picture(photo), codec)
    sizes = [one["bytes"] for one in line["stored"].values()]
    qualities = [one["psnr"] for one in line["stored"].values()]
    assert sizes == sorted(sizes) and qualities == sorted(qualities)
    assert (qualities[-1] == float("inf")) == (codec == "png")
    assert 100 < sizes[0] < 3 * 96 * 64


def test_a_suite_names_them(photo: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"images: ['{photo}']\nmethods: [gainer]\ncodecs: [jpeg]\n")
    fit, codec = read_suite(suite).cells()
    assert (fit.method, codec.method, codec.label) == ("gainer", "jpeg", "JPEG")
    result = run_cell(codec, codec.picture, None)
    assert "error" not in result.line
    curve = over_bytes([codec.identity() | result.line])
    assert curve is not None and len(curve.x) == len(result.line["stored"])
