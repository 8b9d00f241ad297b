"""The wheel, in an environment that has what it requires and nothing of the extras."""

import os
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
ALONE = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
"""The environment variables without what would show a checkout."""
FIT = """
import gainer_ns as gn
picture = gn.fit("photo.png")
assert picture.psnr > 60
picture.save("picture.safetensors")
picture.edit({"rotate": {"degrees": 12}}).save("turned.png", scale=2)
print(gn.__version__, gn.__file__)
"""


def _required(requirements: list[str], extras: frozenset[str] = frozenset()) -> set[str]:
    """Names of the distributions that these requirements bring in, and those that they bring in, as installed here."""
    packaging = pytest.importorskip("packaging.requirements")
    names, seen, left = set(), set(), [(one, extras) for one in requirements]
    while left:
        text, wanted = left.pop()
        one = packaging.Requirement(text)
        if one.marker and not any(one.marker.evaluate({"extra": extra}) for extra in {"", *wanted}):
            continue
        if (one.name, frozenset(one.extras)) not in seen:
            seen.add((one.name, frozenset(one.extras)))
            names.add(one.name)
            left += [(further, frozenset(one.extras)) for further in metadata.distribution(one.name).requires or []]
    return names


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment: the wheel, and links to what it requires in this environment.

    So it shows that the wheel is whole, and that nothing is imported which it does not require. That an index resolves
    the requirements is shown by installing it for real, as .github/workflows/checks.yml does.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source")
    subprocess.run(["git", "-C", ROOT, "checkout-index", "-a", f"--prefix={source}/"], check=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, source]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    venv.create(folder / "environment", with_pip=True)
    programs = folder / "environment" / "bin"
    (wheel,) = folder.glob("*.whl")
    install = [programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, env=ALONE)
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    (ours,) = metadata.distributions(name="gainer-ns", path=[str(site)])
    here = Path(sysconfig.get_path("purelib"))
    for name in _required(ours.requires or []):
        for top in {file.parts[0] for file in metadata.distribution(name).files or []} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(here / top)
    return programs


def _run(programs: Path, folder: Path, *words: str) -> str:
    command = [str(programs / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=folder, env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_no_extra_is_needed(empty: Path, photo: Path, tmp_path: Path) -> None:
    Image.open(photo).save(tmp_path / "photo.png")
    (tmp_path / "edit.yaml").write_text("edits: [{bend: {degrees: 30, axis: [[10, 30], [80, 30]]}}]\n", "utf8")
    version, file = _run(empty, tmp_path, "python", "-c", FIT).split()
    assert version == metadata.version("gainer-ns") or version in (ROOT / "pyproject.toml").read_text("utf8")
    assert Path(file).is_relative_to(empty.parent)
    assert _run(empty, tmp_path, "gainer", "--version").split()[1] == version
    model = ("--load-config", "picture.safetensors")
    _run(empty, tmp_path, "gainer", "render", *model, "--output", "double.png", "--scale", "2")
    _run(empty, tmp_path, "gainer", "edit", *model, "--script", "edit.yaml", "--output", "bent.png")
    train = ("gainer", "--data", "photo.png", "--vis", "tensorboard", "--max-num-iterations", "3")
    _run(empty, tmp_path, "python", "-m", "nerfstudio.scripts.train", *train)
    (config,) = (tmp_path / "outputs").glob("photo/gainer/*/config.yml")
    _run(empty, tmp_path, "gainer", "render", "--load-config", str(config), "--output", "fitted.png")
    for name in ("turned.png", "double.png", "bent.png", "fitted.png"):
        with Image.open(tmp_path / name) as image:
            assert max(high - low for low, high in image.convert("RGB").getextrema()) > 100, "something is to be seen"


@pytest.mark.slow
def test_what_only_extras_bring_is_not_there(empty: Path, tmp_path: Path) -> None:
    absent = "import importlib.util as i; print([n for n in NAMES if i.find_spec(n)])"
    names = ["pytest", "mkdocs", "segment_anything", "bpy", "ray", "pillow_heif", "playwright"]
    found = _run(empty, tmp_path, "python", "-c", absent.replace("NAMES", repr(names)))
    assert found.strip() == "[]"
