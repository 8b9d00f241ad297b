"""Commands that are killed at any moment: what they leave, and that the same command then ends as if never killed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PROGRAM = '''
"""Forks commands from a process that has everything imported, and kills them."""
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import torch, tyro
from gainer_ns.cli import terminal
from gainer_ns import loading
from gainer_ns.cli import main, edit, export, render, simulate
from gainer_ns.editing import script, shots, stage
from gainer_ns.lifting import scene, views
from gainer_ns.physics import simulation
from gainer_ns.physics.exchange import folder
from gainer_ns.physics.mpm import engine as mpm
from gainer_ns.rendering import raster
from gainer_ns.storage import picture_files as storage
import gainer_bench.baselines.loading, gainer_ns.exporting.cage, gainer_ns.io.meshes, gainer_ns.lifting.loading

torch.set_num_threads(1)
here, picture, kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
told = dict(killed=0, finished=0, left=0, resumed=0)
COMMANDS = {
    "edit": ["edit", "--script", str(here / "edit.yaml"), "--output", "out"],
    "film": ["edit", "--script", str(here / "edit.yaml"), "--output", "out.gif"],
    "simulate": ["simulate", "--scene", str(here / "scene.yaml"), "--output", "out"],
    "export": ["export", "--format", "cage", "--output", "out.obj"],
    "render": ["render", "--scale", "4", "--output", "out.png"],
}


def run(folder, words, delay=None, number=0):
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.chdir(folder)
            main.entrypoint([words[0], "--load-config", picture, *words[1:]])
            status = 0
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 1
        finally:
            os._exit(status)
    ended, status = 0, 0
    while delay is not None and not ended and time.monotonic() < start + delay:
        time.sleep(0.01)
        ended, status = os.waitpid(child, os.WNOHANG)
    if delay is not None and not ended:
        os.kill(child, number)
    if not ended:
        ended, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), time.monotonic() - start


def content(folder, hidden):
    paths = (path for path in folder.rglob("*") if path.is_file())
    named = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {name: data for name, data in named.items() if (".part" in name) == hidden}


for name in sys.argv[5:]:
    words = COMMANDS[name]
    whole = here / f"{name}_whole"
    whole.mkdir()
    status, seconds = run(whole, words)
    assert status == 0
    expected = content(whole, False)
    assert expected and not content(whole, True)
    killed = 0
    for kill in range(5 * kills):
        if killed == kills:
            break
        place = here / f"{name}_{kill}"
        place.mkdir()
        before = {}
        if kill % 4 == 0 and name == "edit":  # frames of before, and something that stays
            (place / "out").mkdir()
            for number in range(9):
                (place / "out" / f"frame_{number:05d}.png").write_bytes(b"old")
            (place / "out" / "notes").write_bytes(b"mine")
            before = content(place, False)
        number = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)[kill % 3]
        # Half of them late, where the writing is.
        delay = seconds * (chance.random() if kill % 4 < 2 else 0.6 + 0.4 * chance.random())
        status, took = run(place, words, delay, number)
        seconds = seconds if status else took  # a machine is not always as fast
        killed += bool(status)
        has_begun = content(place, False) != before or content(place, True)  # before that nobody may listen yet
        ends = (0, -number if number == signal.SIGKILL or not has_begun else 128 + number, 128 + number)
        assert status in ends, (name, kill, status)
        told["killed" if status else "finished"] += 1
        seen = content(place, False)
        notes = seen.pop("out/notes", b"mine")
        assert notes == b"mine"
        before.pop("out/notes", None)
        for file, data in seen.items():
            if name == "film" and file == "out.gif" or file.endswith(("result.json", "state.safetensors")):
                continue  # as far as they came; what is wrong with them would show in what the next run makes
            assert data in (expected.get(file), before.get(file)), (name, kill, file, "half-written")
        old = [file for file, data in seen.items() if data == b"old"]
        assert not old or seen == {file: b"old" for file in old}, (name, kill, "old beside new")
        if number != signal.SIGKILL:
            assert not content(place, True), (name, kill, list(content(place, True)))
        told["left"] += bool(content(place, True))
        for path in [path for path in place.rglob("*") if ".part" in str(path)]:
            os.utime(path, (0, 0))  # as if a day had passed
        assert run(place, words)[0] == 0, (name, kill)
        final = content(place, False)
        final.pop("out/notes", None)
        assert final == expected, (name, kill, sorted(file for file in expected if final.get(file) != expected[file]))
        assert not list(place.rglob("*.part")), (name, kill, list(place.rglob("*.part")))
        told["resumed"] += 1
        shutil.rmtree(place)
print(json.dumps(told))
'''
EDIT = {
    "edits": [{"select": {"box": [10, 10, 40, 40]}, "move": {"by": [30, 12]}, "keyframes": {0: 0.0, 1: 1.0}}],
    "frames": 6,
    "fps": 10,
}
SCENE = {"particles": 300, "duration": 0.3, "bodies": [{"material": "soft"}]}


def killed(folder: Path, run: Path, kills: int, *commands: str) -> dict[str, int]:
    """How many were killed, and had finished before; how many of them left something; how many ended well after it."""
    (folder / "edit.yaml").write_text(yaml.safe_dump(EDIT))
    (folder / "scene.yaml").write_text(yaml.safe_dump(SCENE))
    command = [sys.executable, "-c", PROGRAM, folder, run, str(kills), "0", *commands]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_killed_commands_end_well_when_they_are_run_again(tmp_path: Path, fitted_run: Path) -> None:
    """Once by SIGKILL, with frames of before in the folder, and once by SIGTERM."""
    assert killed(tmp_path, fitted_run, 2, "edit")["killed"] == 2


@pytest.mark.slow
def test_sixty_kills(tmp_path: Path, fitted_run: Path) -> None:
    told = killed(tmp_path, fitted_run, 12, "edit", "film", "simulate", "export", "render")
    print(told)
    assert told["killed"] == 60, told
