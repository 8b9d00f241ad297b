"""Runs the notebook in an empty folder, and stores what it shows in it: part of ``make gallery``.

python docs/scripts/notebook.py docs/tutorial.ipynb
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def run_notebook(path: Path, seconds: int = 300) -> nbformat.NotebookNode:
    """Return the notebook as it is after a run from top to bottom.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
        nbclient.exceptions.CellTimeoutError: If one takes more than ``seconds``.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=seconds, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of the run
        shown = cell.get("outputs", [])
        for output in shown:
            output.get("data", {}).pop("image/jpeg", None)  # of the same picture as image/png
        if shown:
            cell.outputs = [output for output in shown if output.get("name") != "stderr"]
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python docs/scripts/notebook.py docs/tutorial.ipynb")
    nbformat.write(run_notebook(Path(sys.argv[1])), sys.argv[1])
