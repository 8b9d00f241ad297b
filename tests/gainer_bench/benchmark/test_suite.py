"""Suite files: what they say, what is wrong in them, and when two cells are the same."""

from pathlib import Path

import pytest
from PIL import Image

from gainer_bench.benchmark.suite import Suite, read_suite
from gainer_ns.errors import GainerError

SUITES = sorted((Path(__file__).parents[3] / "configs" / "benchmarks").glob("*.yaml"))


def suite(folder: Path, text: str) -> Suite:
    path = folder / "suite.yaml"
    path.write_text(text)
    return read_suite(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "some").mkdir()
    for number, name in enumerate(("b.png", "a.jpg", "notes.txt")):
        if name.endswith("txt"):
            (tmp_path / "some" / name).write_text("no picture")
        else:
            Image.new("RGB", (8, 6), (number, 2, 3)).save(tmp_path / "some" / name)
    return tmp_path


def test_cells_are_pictures_times_seeds_times_methods(pictures: Path) -> None:
    read = suite(pictures, "images: [some]\nmethods: [gainer, siren]\nseeds: [0, 1]\nseconds: 2\n")
    cells = read.cells()
    assert [(cell.path.name, cell.seed, cell.method) for cell in cells] == [
        (name, seed, method) for name in ("a.jpg", "b.png") for seed in (0, 1) for method in ("gainer", "siren")
    ]
    assert {cell.seconds for cell in cells} == {2.0}
    assert len({cell.key for cell in cells}) == len(cells)


def test_files_patterns_crops_and_reductions(pictures: Path) -> None:
    read = suite(
        pictures,
        "images:\n  - some/*.png\n  - {path: some/a.jpg, crop: [1, 2, 5, 6], reduce: 2}\nmethods: [gainer]\n",
    )
    assert [cell.image for cell in read.cells()] == ["b", "a-2x-1-2-5-6"]


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """By as little of their paths as does it; nothing of it changes what is the same fit as before."""
    pictures = ["a/x/img.png", "b/x/img.png", "b/y/img.png", "c/img-2x.png", "c/img.png", "c/img.jpg", "c/one.png"]
    for number, name in enumerate(pictures):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (number, 2, 3)).save(tmp_path / name)
    files = [*pictures, "{path: c/img.png, reduce: 2}"]
    cells = suite(tmp_path, f"images: [{', '.join(files)}]\nmethods: [gainer]\n").cells()
    names = ["a/x/img", "b/x/img", "y/img", "img-2x.png", "c/img.png", "img.jpg", "one", "img.png-2x"]
    assert [cell.image for cell in cells] == names
    assert len({cell.key for cell in cells}) == len(cells)
    (alone,) = suite(tmp_path, "images: [b/y/img.png]\nmethods: [gainer]\n").cells()
    assert alone.image == "img" and alone.key == cells[2].key


def test_images_and_seconds_of_the_command_come_first(pictures: Path) -> None:
    text = "images: [missing/*.png]\nmethods: [gainer, {method: siren, seconds: 9}]\nseconds: 5\n"
    cells = suite(pictures, text).cells((pictures / "some" / "a.jpg",), 3.0)
    assert [(cell.image, cell.seconds) for cell in cells] == [("a", 3.0), ("a", 9.0)]


def test_a_key_follows_the_content_and_not_the_place(pictures: Path) -> None:
    text = "images: [{0}]\nmethods: [gainer]\n"

    def key(name: str) -> str:
        return suite(pictures, text.replace("{0}", name)).cells()[0].key

    before = key("some/b.png")
    (pictures / "moved.png").write_bytes((pictures / "some" / "b.png").read_bytes())
    moved = key("moved.png")
    Image.new("RGB", (8, 6), (200, 2, 3)).save(pictures / "moved.png")
    assert before == moved != key("moved.png")


@pytest.mark.parametrize(
    "change",
    [
        "seconds: 3",
        "steps: 10",
        "seeds: [1]",
        "measure: [edits]",
        "methods: [siren]",
        "methods: [{method: gainer, label: other}]",
        "methods: [{method: gainer, set: {pipeline.model.hidden-layers: 0}}]",
        "images: [{path: some/b.png, crop: [0, 0, 4, 4]}]",
        "images: [{path: some/b.png, reduce: 2}]",
    ],
)
def test_a_key_follows_everything_that_matters(change: str, pictures: Path) -> None:
    usual = {"images": "images: [some/b.png]", "methods": "methods: [gainer]"}
    changed = usual | {change.split(":")[0]: change}
    (before,), (after,) = (suite(pictures, "\n".join(lines.values())).cells() for lines in (usual, changed))
    assert before.key != after.key


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("methods: [gainer]\n", "misses the word images"),
        ("images: [some]\nmethods: []\n", "line 2: methods: must have at least 1"),
        ("images: [some]\nmethods: [gainer]\nsecond: 3\n", "line 3: second: unknown word"),
        ("images: [some]\nmethods: [gainer]\nseconds: 0\n", "line 3: seconds"),
        ("images: [some]\nmethods: [gainer, gainer]\n", "two methods are called 'gainer'"),
        ("images: [some]\nmethods: [gainer]\nmeasure: [colour]\n", "line 3: measure[0]"),
        ("images: [nothing/*.png]\nmethods: [gainer]\n", "line 1: images[0]: "),
        ("images:\n  - some\n  - lost.png\nmethods: [gainer]\n", "line 3: images[1]: "),
    ],
)
def test_mistakes_are_one_line_with_their_place(text: str, complaint: str, pictures: Path) -> None:
    with pytest.raises(GainerError) as caught:
        suite(pictures, text).cells()
    assert complaint in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_shipped_suites_name_methods_and_options_that_exist(path: Path, tmp_path: Path) -> None:
    from gainer_bench.benchmark.run import check_methods

    picture = tmp_path / "any.png"
    Image.new("RGB", (8, 6)).save(picture)
    assert path.read_text("utf8").startswith("# ")
    check_methods(read_suite(path).cells((picture,)))


def test_the_middle_of_pictures_in_so_many_steps(pictures: Path) -> None:
    read = suite(
        pictures, "images: [{path: some/b.png, crop: [0, 0, 2, 2]}, some/a.jpg]\nmethods: [gainer]\nseconds: 9\n"
    )
    cells = read.cells(crop=4, steps=7)
    assert [(cell.crop, cell.steps, cell.seconds) for cell in cells] == [((2, 1, 6, 5), 7, None)] * 2
    assert [cell.crop for cell in read.cells(crop=7)] == [(0, 0, 7, 6)] * 2
    assert [(cell.steps, cell.seconds) for cell in read.cells(seconds=3.0)] == [(None, 3.0)] * 2
