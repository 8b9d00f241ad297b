"""No option of any command may be given twice so that only the last counts."""

import argparse
import importlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from gainer_bench.__main__ import BENCH_COMMANDS, command_of
from gainer_ns.cli.bench import Bench
from gainer_ns.cli.main import COMMANDS, entrypoint
from gainer_ns.cli.prepare import Prepare
from gainer_ns.errors import GainerError
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.options import flattened_groups, parsed


def commands() -> Iterator[Any]:
    for name in COMMANDS:
        yield getattr(importlib.import_module(f"gainer_ns.cli.{name}"), name.title())
    yield from map(command_of, BENCH_COMMANDS)


def options(command: Callable[..., Any]) -> list[argparse.Action]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        parser = tyro.extras.get_parser(command)
    return [action for action in parser._actions if action.option_strings and "--help" not in action.option_strings]


def takes_lists(option: Any) -> bool:
    return type(option).__name__ == "_AppendAction"


ALL = [(command, option) for command in commands() for option in options(command)]


def test_every_command_is_walked() -> None:
    assert {command.__name__ for command, _ in ALL} >= {name.title() for name in COMMANDS}
    assert len({command for command, _ in ALL}) == len(COMMANDS) + len(BENCH_COMMANDS)
    listed = {(command, option.option_strings[0]) for command, option in ALL if takes_lists(option)}
    assert listed == {(Prepare, "--click"), (Prepare, "--exclude"), (Bench, "--images")}


@pytest.mark.parametrize(
    ("command", "option"),
    [pair for pair in ALL if not takes_lists(pair[1])],
    ids=lambda one: one.option_strings[0] if isinstance(one, argparse.Action) or hasattr(one, "option_strings") else "",
)
def test_what_holds_one_thing_is_refused_twice(command: Any, option: Any) -> None:
    for first in option.option_strings:
        for second in option.option_strings:
            with pytest.raises(GainerError, match="only the last would count") as caught:
                parsed(command, [first, "1", f"{second}=2".replace("-", "_").replace("__", "--", 1)])
            assert str(caught.value).startswith(first) and "\n" not in str(caught.value)


def test_the_command_itself_refuses() -> None:
    with pytest.raises(SystemExit, match=r"--scale: is given twice"):
        entrypoint(["render", "--load-config", "nowhere.yml", "--output", "a.png", "--scale", "2", "--scale", "3"])


@pytest.mark.parametrize("words", [["1", "2", "3", "4", "=", "-5", "6"], ["1", "2", "=", "3", "4", "=", "-5", "6"]])
@pytest.mark.parametrize("name", ["click", "exclude"])
def test_points_come_at_once_or_some_at_a_time(name: str, words: list[str]) -> None:
    said = [f"--{name}", *(f"--{name}" if word == "=" else word for word in words)]
    expected = ((1.0, 2.0), (3.0, 4.0), (-5.0, 6.0))
    preparation = parsed(Prepare, ["photo.png", *said])
    assert getattr(preparation, name) == expected
    assert getattr(tyro.cli(LiftDataManagerConfig, args=said), name) == expected, "ns-train takes the same"
    assert flattened_groups(expected) == expected, "what was flat stays so"


def test_paths_come_at_once_or_some_at_a_time() -> None:
    bench = parsed(Bench, ["suite.yaml", "--output", "o", "--images", "a.png", "b.png", "--images", "c.png"])
    assert bench.images == (Path("a.png"), Path("b.png"), Path("c.png"))
    assert flattened_groups(bench.images) == bench.images


def test_what_follows_two_dashes_is_no_option() -> None:
    assert parsed(Bench, ["--output", "o", "--", "--output"]).suite == Path("--output")
