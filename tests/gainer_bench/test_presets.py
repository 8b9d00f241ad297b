"""Published settings of the baselines: their sizes are those of the papers, and a suite tells them from the others."""

from pathlib import Path

import pytest
import torch

from gainer_bench.benchmark.cell import configured
from gainer_bench.benchmark.suite import PRESET_METHODS, Suite
from gainer_bench.fits import picture_methods
from gainer_bench.presets import PUBLISHED, as_published
from gainer_ns.errors import GainerError
from gainer_ns.frames import ImagePlane

KODAK = ImagePlane(768, 512)


def learned(method: str) -> int:
    """Count what is learned; of NeuRBF also centres and shapes, though they come from the picture alone."""
    function = PUBLISHED[method].function.setup(plane=KODAK, seed=0)
    placed = 5 * len(function.centres) if method == "neurbf" else 0
    return sum(parameter.numel() for parameter in function.parameters()) + placed


@pytest.mark.parametrize("method", PRESET_METHODS)
def test_sizes_are_those_of_the_papers(method: str) -> None:
    assert learned(method) == pytest.approx(PUBLISHED[method].parameters, rel=0.03)


def test_positional_encoding_reads_the_point_and_ten_octaves_of_it() -> None:
    network = PUBLISHED["fourier"].function.setup(plane=ImagePlane(60, 30), seed=0)
    encoded = network.encode(torch.tensor([[0.25, -0.5]]))
    octaves = 2.0 ** torch.arange(10)
    phases = torch.cat([0.25 * octaves, -0.5 * octaves])
    torch.testing.assert_close(encoded[0], torch.cat([torch.tensor([0.25, -0.5]), phases.cos(), phases.sin()]))


def test_a_suite_says_which_settings_and_tables_tell_them_apart(tmp_path: Path) -> None:
    wanted = ["gainer", "siren", {"method": "siren", "preset": "published"}, {"method": "wire", "label": "narrow"}]
    suite = Suite.model_validate({"images": ["a.png"], "methods": wanted, "steps": 7})
    cells = suite.cells(images=(tmp_path / "a.png",), seconds=3.0)
    assert [cell.label for cell in cells] == ["gainer", "siren (budget)", "siren (published)", "narrow (budget)"]
    budget, published = (configured(cell, tmp_path / "a.png", tmp_path) for cell in cells[1:3])
    assert (budget.pipeline.model.pixels_per_step, budget.pipeline.model.rates_follow_clock) == (1024, True)
    assert published.pipeline.model.pixels_per_step is None and not published.pipeline.model.rates_follow_clock
    assert published.pipeline.model.function.first_omega == 30
    assert published.optimizers["function"]["optimizer"].lr == 5e-4
    with pytest.raises(ValueError, match="gainer has no presets; only siren"):
        Suite.model_validate({"images": ["a.png"], "methods": [{"method": "gainer", "preset": "published"}]})


def test_published_settings_leave_the_registered_method_alone() -> None:
    registered = picture_methods()
    assert tuple(PUBLISHED) == PRESET_METHODS
    for method, published in PUBLISHED.items():
        assert set(published.rates) == set(registered[method].optimizers), method
        assert registered[method].pipeline.model.rates_follow_clock, method
    with pytest.raises(GainerError, match="gainer has none"):
        as_published(registered["gainer"], "gainer")
