"""Run the program ``gainer`` on files."""

import subprocess

import bpy

from .settings import program


class GainerProblem(Exception):
    """What a person can mend, in one line."""


def gainer(context: bpy.types.Context, *words: object) -> None:
    """Run a subcommand of gainer to its end.

    Raises:
        GainerProblem: There is no such program, or what it has said against its input.
    """
    found = program(context)
    if found is None:
        raise GainerProblem("gainer is not found: pip install gainer-ns, and name the program in the preferences")
    done = subprocess.run([found, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise GainerProblem(said[-1] if said else f"gainer {words[0]} ended with {done.returncode}")
