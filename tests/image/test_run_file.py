"""What is read of a config.yml: what ns-train writes, and one line for everything else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from nerfstudio.plugins.types import MethodSpecification

import gainer_bench.methods as bench_methods
from gainer_bench.baselines.loading import FUNCTIONS
from gainer_ns import methods
from gainer_ns.errors import GainerError
from gainer_ns.image.model import GainerModelConfig
from gainer_ns.image.run_file import MAX_YAML_BYTES, MAX_YAML_DEPTH, RunFile, class_name, tags_in

METHODS = {
    name: one.config
    for name, one in (vars(methods) | vars(bench_methods)).items()
    if isinstance(one, MethodSpecification)
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "config.yml"
        path.write_text(text, "utf8")
        return path

    return write


def gainer() -> str:
    return yaml.dump(METHODS["gainer"])


@pytest.mark.parametrize("name", METHODS)
def test_what_every_method_writes_is_read(name: str, written: Callable[[str], Path]) -> None:
    config: Any = METHODS[name]
    run = RunFile(written(yaml.dump(config)))
    model = config.pipeline.model
    assert run.kind("pipeline", "model") == class_name(type(model))
    read = run.config(type(model), "pipeline", "model", known=FUNCTIONS, skip=("panel",))
    for field in dataclasses.fields(model):
        if field.name != "panel":
            assert getattr(read, field.name) == getattr(model, field.name), field.name
            assert type(getattr(read, field.name)) is type(getattr(model, field.name)), field.name
    assert run.file_path("relative_model_dir") == config.relative_model_dir
    assert run.file_path("load_dir") is None and run.value("load_step", of=int | None) is None


def test_aliases_numbers_and_what_is_missing(written: Callable[[str], Path]) -> None:
    """What one object at two places, other options and other versions leave in a file."""
    model = GainerModelConfig(gaussians_per_pixel=2, fit_seconds=float("inf"), background=(0.5, 0.25, 0.0))
    model.sparse_encoding = model.encoding
    text = yaml.dump({"pipeline": {"model": model}}).replace("    seed: 0\n", "    unheard_of: [1]\n")
    assert "&id" in text and "*id" in text and ".inf" in text
    run = RunFile(written("!!python/object:a.B\n" + text))
    read = run.config(GainerModelConfig, "pipeline", "model", skip=("panel",))
    assert dataclasses.replace(read, panel=model.panel) == model


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("hidden_dim: 64", "hidden_dim: .nan"),
        ("hidden_dim: 64", "hidden_dim: [64]"),
        ("hidden_dim: 64", f"hidden_dim: {'9' * 5000}"),
        ("hidden_dim: 64", f"hidden_dim: {'1:' * 20000}1"),
        ("hidden_dim: 64", "hidden_dim: 2024-01-01"),
        ("hidden_dim: 64", "hidden_dim: !!python/name:os.system"),
        ("hidden_dim: 64", "hidden_dim: &a [*a]"),
        ("loss: mse", "loss: none"),
        ("jitter: 0.0", "jitter: .nan"),
        ("covariances: shared", "covariances: thick"),
        ("log2_table_size: 21", "log2_table_size: many"),
        ("    - 1.0\n    - 1.0\n    - 1.0\n", "    - 1.0\n    - 1.0\n"),
        ("    - 1.0\n    - 1.0\n    - 1.0\n", "    - &a [1.0, *a]\n"),
    ],
)
def test_values_that_ns_train_does_not_write(place: str, text: str, written: Callable[[str], Path]) -> None:
    whole = gainer()
    assert place in whole
    run = RunFile(written(whole.replace(place, text, 1)))
    with pytest.raises(GainerError, match=r"config\.yml: pipeline\.model\.") as caught:
        run.config(GainerModelConfig, "pipeline", "model", skip=("panel",))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


BOMB = "\n".join(f"a{n + 1}: &a{n + 1} [{', '.join(9 * [f'*a{n}'])}]" for n in range(30))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\n",
        "- 1\n",
        "\0",
        "[" * 5000,
        "\n".join(" " * n + "a:" for n in range(200)),
        "{a: " * 5000 + "}" * 5000,
        "- " * 5000,
        f"a0: &a0 [1]\n{BOMB}",
        "!!python/object:a.B &x {pipeline: *x}",
        "a" * (MAX_YAML_BYTES + 1),
        "!!python/object:a.B {pipeline: {model: {a: 1}}}",
        "a: *b",
        "%YAML 9.9\n--- a",
    ],
    ids=range(14),
)
def test_files_that_are_no_configuration(text: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(GainerError, match="not a configuration of ns-train; give a run's config") as caught:
        RunFile(written(text))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_bombs_beside_the_model_do_nothing(written: Callable[[str], Path]) -> None:
    run = RunFile(written(f"{gainer()}a0: &a0 [1]\n{BOMB}\nround: &b [*b]\n"))
    assert run.config(GainerModelConfig, "pipeline", "model", skip=("panel",)).hidden_dim == 64
    assert "tag:yaml.org,2002:seq" in run.tags


@pytest.mark.parametrize("depth", [MAX_YAML_DEPTH + 1, 5000])
def test_what_is_nested_too_deep_says_so(depth: int, written: Callable[[str], Path]) -> None:
    with pytest.raises(GainerError, match=f"nested more than {MAX_YAML_DEPTH} deep"):
        RunFile(written(f"{gainer()}x: {'[' * depth}{']' * depth}\n"))


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    with pytest.raises(GainerError, match="not a configuration of ns-train"):
        RunFile(path)
    for missing in (tmp_path, tmp_path / "none.yml"):
        with pytest.raises(GainerError, match="no such file"):
            RunFile(missing)


def test_a_file_that_is_longer_than_any_says_so(written: Callable[[str], Path]) -> None:
    text = gainer()
    assert RunFile(written(text + "#" * (MAX_YAML_BYTES - len(text)))).kind("pipeline", "model") is not None
    with pytest.raises(GainerError, match="longer than 1 MiB"):
        RunFile(written(text + "#" * (MAX_YAML_BYTES - len(text) + 1)))


def test_the_last_of_several_counts_as_with_any_loader(written: Callable[[str], Path]) -> None:
    text = gainer() + "load_step: 3\nload_step: 7\n"
    assert yaml.compose(text) is not None
    assert RunFile(written(text)).value("load_step", of=int | None) == 7


def test_an_object_of_another_class_is_not_taken_for_the_wanted_one(written: Callable[[str], Path]) -> None:
    text, name = gainer(), class_name(GainerModelConfig)
    run = RunFile(written(text.replace(f"python/object:{name}", "python/object:a.B")))
    assert run.kind("pipeline", "model") == "a.B"
    with pytest.raises(GainerError, match=r"pipeline\.model is nothing"):
        run.config(GainerModelConfig, "pipeline", "model", skip=("panel",))


@pytest.mark.parametrize("text", ['"a\\0b"', "[a]", "{a: b}", "!!python/object/apply:pathlib.PosixPath [[a]]"])
def test_paths_that_are_none(text: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(GainerError, match="load_dir is nothing"):
        RunFile(written(f"{gainer()}load_dir: {text}\n")).file_path("load_dir")


@pytest.mark.parametrize(
    "text", ["[!!a 1]", "{b: !!a 1}", "{!!a b: 1}", "{? [!!a b] : 1}", "[[{b: [!!a 1]}]]", "!!a {}"]
)
def test_tags_are_found_wherever_they_are(text: str, written: Callable[[str], Path]) -> None:
    run = RunFile(written(f"{gainer()}x: {text}\n"))
    assert "tag:yaml.org,2002:a" in run.tags and "tag:yaml.org,2002:a" in tags_in(text)
