"""What measures and what shows, as one program: ``python -m gainer_bench SUBCOMMAND``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from gainer_bench import bench_extra
from gainer_ns.doors import run_program
from gainer_ns.options import parsed

PROGRAM = "python -m gainer_bench"
BENCH_COMMANDS = {
    "demo": "Demo",
    "gallery": "Gallery",
    "edit-quality": "EditQuality",
    "layered-quality": "LayeredQuality",
    "super-resolution": "SuperResolution",
    "shrink-quality": "ShrinkQuality",
    "matte-quality": "MatteQuality",
    "acts": "Acts",
    "contact-sheet": "ContactSheet",
    "simulation-sheet": "SimulationSheet",
    "simulation-check": "SimulationCheck",
    "grain-mixture": "GrainMixture",
    "mpm-speed": "MpmSpeed",
    "novel-view": "NovelView",
    "held-out": "HeldOut",
}
"""Subcommand -> its dataclass with a ``run()``, in the module of the same name."""


def command_of(name: str) -> Any:
    """Import the dataclass of a subcommand."""
    return getattr(importlib.import_module(f"gainer_bench.{name.replace('-', '_')}"), BENCH_COMMANDS[name])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a subcommand.

    Raises:
        GainerError: If an option is wrong, or what is asked for cannot be done.
    """
    name, *options = [*(sys.argv[1:] if arguments is None else arguments), "--help"]
    with bench_extra(PROGRAM):
        if name in BENCH_COMMANDS:  # only its own module is imported: each takes seconds
            parsed(command_of(name), options[:-1], prog=f"{PROGRAM} {name}").run()
            return
        import tyro

        commands = {each: command_of(each) for each in BENCH_COMMANDS}
        tyro.extras.subcommand_cli_from_dict(commands, prog=PROGRAM, description=__doc__, args=[name]).run()


if __name__ == "__main__":
    run_program(main)
