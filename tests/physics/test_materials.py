"""Materials: the presets, and what a scene may change of them."""

import math
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from gainer_ns.physics.materials import (
    BEHAVIOUR_NUMBERS,
    BEHAVIOURS,
    BREAKING,
    PRESETS,
    Behaviour,
    ChosenMaterial,
    Material,
)


def refusal(data: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        ChosenMaterial.model_validate(data)
    (error,) = caught.value.errors()
    return error["msg"]


def test_every_behaviour_has_a_preset_and_its_words() -> None:
    assert (
        set(BEHAVIOURS)
        == set(get_args(Behaviour))
        == {preset.behaviour for preset in PRESETS.values()}
        == set(BEHAVIOUR_NUMBERS)
    )
    assert set(BREAKING) < set(BEHAVIOURS)
    stiffness = [PRESETS[name].E for name in ("soft", "medium", "stiff")]
    assert stiffness == sorted(stiffness)


def test_wave_speeds_are_those_of_the_theory() -> None:
    """P-waves: M = E (1 - nu) / ((1 + nu) (1 - 2 nu)); sound in a liquid: sqrt(K / density)."""
    material = Material(behaviour="elastic", E=200.0, nu=0.25, density=2.0)
    assert material.wave_speed == pytest.approx(math.sqrt(200 * 0.75 / (1.25 * 0.5) / 2))
    assert Material(behaviour="liquid", E=300.0, density=3.0).wave_speed == pytest.approx(10.0)
    first, second = material.lame
    assert second * (3 * first + 2 * second) / (first + second) == pytest.approx(200.0)
    assert first / (2 * (first + second)) == pytest.approx(0.25)


def test_a_name_is_a_material() -> None:
    assert ChosenMaterial.model_validate("sand").material == PRESETS["sand"]
    assert ChosenMaterial.model_validate("sand").model_dump() == "sand"


def test_numbers_replace_those_of_the_preset() -> None:
    chosen = ChosenMaterial.model_validate({"preset": "soft", "E": 20, "nu": 0.45})
    assert chosen.material == PRESETS["soft"].model_copy(update={"E": 20.0, "nu": 0.45})
    assert chosen.model_dump(exclude_defaults=True) == {"preset": "soft", "E": 20.0, "nu": 0.45}


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_numbers_that_mean_something(name: str) -> None:
    known = BEHAVIOUR_NUMBERS[PRESETS[name].behaviour]
    for word, value in {"E": 20.0, "nu": 0.2, "density": 2.0, "friction_angle": 30.0}.items():
        data = {"preset": name, word: value}
        if word in known:
            assert getattr(ChosenMaterial.model_validate(data).material, word) == value
        else:
            assert f"means nothing to {name}" in refusal(data)


@pytest.mark.parametrize("data", ["cheese", {"preset": "cheese"}, 7, ["sand"]])
def test_an_unknown_material_is_refused_with_the_known_ones(data: Any) -> None:
    message = refusal(data)
    assert "there is no material" in message and ", ".join(PRESETS) in message


@pytest.mark.parametrize(
    "data", [{"E": 0}, {"E": -1.0}, {"nu": 0.5}, {"nu": -0.1}, {"density": 0}, {"E": "20"}, {"E": float("inf")}]
)
def test_impossible_numbers_are_refused(data: dict[str, Any]) -> None:
    assert "should be" in refusal({"preset": "soft", **data})


@pytest.mark.parametrize("strength", [0, -0.3, "strong", float("nan"), 1e3, True])
def test_strengths_that_mean_nothing_are_refused(strength: object) -> None:
    assert "\n" not in refusal({"preset": "soft", "tear": strength})


def test_only_what_is_elastic_tears() -> None:
    assert "tear" in BEHAVIOUR_NUMBERS["elastic"] and ChosenMaterial(preset="medium", tear=0.5).material.tear == 0.5
    assert "means nothing to water" in refusal({"preset": "water", "tear": 0.5})
