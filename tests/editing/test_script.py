"""Edit scripts: what they may say, and the one line that is said about everything else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from gainer_ns.editing.operations import Bend, Drag, Move, Operation, Scale
from gainer_ns.editing.script import Edit, Script, read_script
from gainer_ns.editing.selection import Selection
from gainer_ns.editing.vocabulary import OPERATIONS
from gainer_ns.errors import GainerError

WIDTH, HEIGHT = 96, 64
KINDS = "all, box, polygon, mask, disc, union, minus, intersect"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a mask, a mask of another size, a photograph, a fitted run and a model, by name only."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:40, 20:60] = 255
    Image.fromarray(mask).save(tmp_path / "ear.png")
    Image.fromarray(mask[:50]).save(tmp_path / "small.png")
    Image.fromarray(mask * 0).save(tmp_path / "black.png")
    (tmp_path / "run").mkdir()
    (tmp_path / "sd").mkdir()
    Image.fromarray(mask).save(tmp_path / "beach.jpg")
    for name in ("run/config.yml", "run/DOG.SAFETENSORS", "cat.safetensors", "lama.pt"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def read(folder: Path) -> Callable[[str], Script]:
    def run(text: str) -> Script:
        (folder / "edit.yaml").write_text(text)
        return read_script(folder / "edit.yaml", WIDTH, HEIGHT)

    return run


@pytest.fixture
def refusal(read: Callable[[str], Script], folder: Path) -> Callable[[str], str]:
    """``refusal(text)``: the message, without the folder."""

    def run(text: str) -> str:
        with pytest.raises(GainerError) as caught:
            read(text)
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        return message.replace(f"{folder}/", "")

    return run


def test_a_script(read: Callable[[str], Script], folder: Path) -> None:
    script = read(
        """edits:
  - select: {box: [12, 8, 40, 36], feather: 12}
    bend: {degrees: 40, axis: [[12, 22], [40, 22]]}
  - select: {mask: ear.png}
    scale: {factor: 1.5, center: [31, 9]}
    layer: cat
    order: back
    mode: piece
    keyframes: {0: 0.0, 0.5: 1.0, 1: 0.0}
    easing: bounce
layers:
  cat: {picture: cat.safetensors, place: [10, -5], scale: 0.5, order: back}
  dog: {picture: run/DOG.SAFETENSORS}
background: {inpaint: telea}
canvas: [-10, 0, 106, 64]
frames: 48
fps: 30
"""
    )
    first, second = script.edits
    assert first.select == Selection(box=(12, 8, 40, 36), feather=12) and first.layer is None
    assert first.operations == (Bend(degrees=40, axis=((12, 22), (40, 22))),)
    assert (first.order, first.mode, first.amount(0.0), first.amount(1.0)) == ("front", None, 0, 1)
    assert second.select.mask == folder / "ear.png" and second.operations == (Scale(factor=1.5, center=(31, 9)),)
    assert (second.layer, second.order, second.mode, second.easing) == ("cat", "back", "piece", "bounce")
    assert [second.amount(t) for t in (0, 0.5, 1)] == [0, 1, 0]
    cat, dog = script.layers["cat"], script.layers["dog"]
    assert (cat.picture, cat.place, cat.scale, cat.order) == (folder / "cat.safetensors", (10, -5), 0.5, "back")
    assert (dog.picture, dog.place, dog.scale, dog.order) == (folder / "run/DOG.SAFETENSORS", (0, 0), 1, "front")
    assert script.background.inpaint is not None and script.background.inpaint.method == "telea"
    assert script.canvas == (-10, 0, 106, 64) and script.fps == 30
    assert len(script.times) == 48 and script.times[0] == 0 and script.times[-1] == 1


def test_what_is_not_said(read: Callable[[str], Script]) -> None:
    script = read("edits: [{move: {by: [1, 2]}}]")
    assert script.edits[0].select.all and script.edits[0].operations == (Move(by=(1, 2)),)
    assert script.background.transparent and script.canvas is None and script.frames is None and script.fps is None
    assert script.times == [1.0] and script.edits[0].amount(script.times[0]) == 1


def test_backgrounds(read: Callable[[str], Script], folder: Path) -> None:
    def background(text: str) -> Any:
        return read(f"edits: [{{move: {{by: [1, 2]}}}}]\nbackground: {text}").background

    assert background("transparent").transparent
    assert background("{color: [255, 127.5, 0]}").color == (255, 127.5, 0)
    assert background("{image: beach.jpg}").image == folder / "beach.jpg"
    assert background("{inpaint: navier-stokes}").inpaint.method == "navier-stokes"
    assert background("{inpaint: {lama: lama.pt}}").inpaint.lama == folder / "lama.pt"
    model = background("{inpaint: {diffusers: some/model, prompt: sand}}").inpaint
    assert (model.diffusers, model.prompt) == ("some/model", "sand")
    assert background("{inpaint: {diffusers: sd}}").inpaint.diffusers == str(folder / "sd"), (
        "a folder beside the script"
    )


def test_operations_keep_the_order_written(read: Callable[[str], Script]) -> None:
    forwards = "move: {by: [1, 2]}\n    rotate: {degrees: 3}\n    twirl: {degrees: 4}"
    backwards = "twirl: {degrees: 4}\n    rotate: {degrees: 3}\n    move: {by: [1, 2]}"
    for text, words in ((forwards, ("move", "rotate", "twirl")), (backwards, ("twirl", "rotate", "move"))):
        edit = read(f"edits:\n  - easing: in\n    {text}\n    mode: piece").edits[0]
        assert edit.words == words and edit.operations == tuple(getattr(edit, word) for word in words)
    assert Edit(**{"rotate": {"degrees": 3}, "move": {"by": (1, 2)}}).words == ("rotate", "move")
    assert read(f"edits:\n  - {forwards}") != read(f"edits:\n  - {backwards}")
    copied = edit.model_copy(update={"move": None, "bend": Bend(degrees=1, axis=((0, 0), (1, 0)))})
    assert copied.words == ("twirl", "rotate", "bend")


EDIT = "select, layer, order, mode, keyframes, easing"
MOVE = "move: {by: [1, 2]}"
PICTURE = "the picture, which is 96 x 64 pixels"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frames: 3", ", line 1: has neither edits nor layers nor a camera; write at least one"),
        ("\nedits: []", ", line 2: has neither edits nor layers nor a camera; write at least one"),
        (
            "edit: []",
            ", line 1: edit: unknown word; allowed: edits, layers, background, canvas, camera, frames",
        ),
        ("edits:\n- bend: {degres: 3}", ", line 2: edits[0].bend.degres: unknown word; allowed: degrees, axis"),
        ("edits:\n- bend:\n    degrees: 3", ", line 2: edits[0].bend: misses the word axis; allowed: degrees, axis"),
        ("edits:\n- bend:\n  degrees: 3", ", line 2: edits[0].bend: has no value; write one, or leave the word out"),
        ("edits:\n- bend: 40", ", line 2: edits[0].bend: must be a mapping of words to values, not 40"),
        ("edits:\n- scale: {factor: big}", ", line 2: edits[0].scale.factor: must be a number, not 'big'"),
        ("edits:\n- scale:\n    factor: [1, -1]", ", line 3: edits[0].scale.factor[1]: must be greater than 0"),
        (
            "edits:\n- drag:\n    handles:\n    - {from: [1, 2]}",
            ", line 4: edits[0].drag.handles[0]: misses the word to;",
        ),
        (
            "edits:\n- drag: {handles: [{start: 1}]}",
            ", line 2: edits[0].drag.handles[0].start: unknown word; allowed: from",
        ),
        ("edits:\n- select: all", f", line 2: edits[0]: does nothing; write one or more of {', '.join(OPERATIONS)}"),
        ("edits:\n- {}", ", line 2: edits[0]: does nothing; write one or more of"),
        ("edits:\n- move", ", line 2: edits[0]: must be a mapping of words to values, not 'move'"),
        (
            f"edits:\n- {MOVE}\n- {MOVE}\n  layer: cat",
            ", line 4: edits[1].layer: there is no layer 'cat'; the script has no",
        ),
        (
            f"edits:\n- {MOVE}\n  layer: dog\nlayers: {{cat: {{picture: cat.safetensors}}}}",
            ", line 3: edits[0].layer: there is no layer 'dog'; layers are cat",
        ),
        (
            f"edits:\n- {MOVE}\n  order: top",
            ", line 3: edits[0].order: must be 'front' or 'back', or a number, not 'top'",
        ),
        (
            f"edits:\n- {MOVE}\n  order: {{2: front}}",
            ", line 3: edits[0].order[2]: must be a time from 0 to 1, not '2'",
        ),
        (f"edits:\n- {MOVE}\n  order: {{0: top}}", ", line 3: edits[0].order[0]: must be 'front' or 'back', or a num"),
        (f"edits:\n- {MOVE}\n  mode: glue", ", line 3: edits[0].mode: must be 'sheet' or 'piece', not 'glue'"),
        (
            "edits:\n- cut: {line: [[1, 2], [3, 4]], gap: 2}\n  mode: sheet",
            ", line 3: edits[0].mode: must be 'piece' beside cut, which parts what it selects; leave mode out",
        ),
        (
            f"edits:\n- {MOVE}\n  easing: hard",
            ", line 3: edits[0].easing: must be 'linear', 'smooth', 'in', 'out', 'back', ",
        ),
        (
            f"edits:\n- {MOVE}\n  keyframes: {{0: 1,\n    2: 1}}",
            ", line 4: edits[0].keyframes[2]: must be less than or equal to 1",
        ),
        (
            f"edits:\n- {MOVE}\n  keyframes: [0, 1]",
            ", line 3: edits[0].keyframes: must be a mapping of words to values, not",
        ),
        (
            f"edits:\n- {MOVE}\n  select: every",
            f", line 3: edits[0].select: must be all, or a mapping with one of {KINDS}",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{bax: 1}}",
            f", line 3: edits[0].select.bax: unknown word; allowed: {KINDS.replace('mask', 'mask, label')}, feather",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{feather: 3}}",
            ", line 3: edits[0].select: selects nothing; write all, or one of",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{box: [9, 9, 5, 20]}}",
            ", line 3: edits[0].select.box: is empty; write [left, top, right",
        ),
        (
            f"edits:\n- {MOVE}\n  select:\n    box: [100, 9, 120, 20]",
            f", line 4: edits[0].select.box: lies outside {PICTURE}",
        ),
        (
            f"edits:\n- {MOVE}\n- {MOVE}\n  select:\n    minus:\n    - all\n    - disc: {{center: [-9, 5], radius: 3}}",
            f", line 7: edits[1].select.minus[1].disc: lies outside {PICTURE}",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{minus: [all, all]}}",
            f", line 3: edits[0].select.minus: selects no pixel of {PICTURE}",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{polygon: [[0, 0], [5, 5]]}}",
            ", line 3: edits[0].select.polygon: needs at least 3 points",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{mask: no.png}}",
            ", line 3: edits[0].select.mask: no.png does not exist; check the spell",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{mask: lama.pt}}",
            ", line 3: edits[0].select.mask: lama.pt: is empty; fetch or save",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{mask: small.png}}",
            ", line 3: edits[0].select.mask: small.png is 96 x 50 pixels, the",
        ),
        (
            f"edits:\n- {MOVE}\n  select: {{mask: black.png}}",
            ", line 3: edits[0].select.mask: black.png is black all over;",
        ),
        (
            "layers:\n  cat: {picture: no.yml}",
            ", line 2: layers.cat.picture: no.yml does not exist; check the spelling",
        ),
        (
            "layers:\n  cat: {picture: ear.png}",
            ", line 2: layers.cat.picture: ear.png is no picture file; name a .safetensors of gainer export",
        ),
        (
            "layers:\n  cat: {picture: run/config.yml}",
            ", line 2: layers.cat.picture: run/config.yml is no picture file; name a .safetensors of gainer export",
        ),
        ("layers:\n  cat: {}", ", line 2: layers.cat: misses the word picture; allowed: picture, place, scale, order"),
        ("layers:\n  1: {picture: run/config.yml}", ", line 2: layers[1]: must be text, not 1"),
        ("layers:\n  '': {picture: run/config.yml}", ", line 2: layers['']: must have at least 1 character, not ''"),
        (
            f"edits: [{MOVE}]\nbackground: white",
            ", line 2: background: must be transparent, or a mapping with color, image or",
        ),
        (
            f"edits: [{MOVE}]\nbackground: {{}}",
            ", line 2: background: needs exactly one of transparent, color, image, inpaint",
        ),
        (
            f"edits: [{MOVE}]\nbackground: {{color: [0, 0, 0], inpaint: telea}}",
            ", line 2: background: needs exactly one of",
        ),
        (
            f"edits: [{MOVE}]\nbackground: {{color: [0, 0, 256]}}",
            ", line 2: background.color[2]: must be less than or equal to 255",
        ),
        (f"edits: [{MOVE}]\nbackground: {{color: [0, 0]}}", ", line 2: background.color: must have 3 values, not 2"),
        (
            f"edits: [{MOVE}]\nbackground: {{inpaint: magic}}",
            ", line 2: background.inpaint: must be telea, navier-stokes, or a",
        ),
        (
            f"edits: [{MOVE}]\nbackground: {{inpaint: {{lama: lama.pt, prompt: x}}}}",
            ", line 2: background.inpaint: only diffusers",
        ),
        (
            f"edits: [{MOVE}]\nbackground: {{inpaint: {{prompt: x}}}}",
            ", line 2: background.inpaint: needs exactly one of telea,",
        ),
        (
            f"edits: [{MOVE}]\ncanvas: full",
            ", line 2: canvas: must be auto, or [left, top, right, bottom], not 'full'",
        ),
        (
            f"edits: [{MOVE}]\ncanvas: [0, 0, 0, 9]",
            ", line 2: canvas: is empty; write [left, top, right, bottom], with",
        ),
        (
            f"edits: [{MOVE}]\ncanvas: [0, 0, 1e6, 1e6]",
            ", line 2: canvas: has 1e+12 pixels, but at most 536 megapixels can be",
        ),
        (f"edits: [{MOVE}]\nbackground: {{image: edit.yaml}}", ", line 2: background.image: "),
        (f"edits: [{MOVE}]\nframes: 0", ", line 2: frames: must be greater than or equal to 1, not 0"),
        (f"edits: [{MOVE}]\nframes: 100001", ", line 2: frames: must be less than or equal to 100000, not 100001"),
        (f"edits: [{MOVE}]\nframes: 1.5", ", line 2: frames: must be a whole number, not 1.5"),
        (f"edits: [{MOVE}]\nfps: 0", ", line 2: fps: must be greater than 0, not 0"),
        (f"edits: [{MOVE}]\nfps: yes", ", line 2: fps: must be a number, not 'yes'"),
    ],
)
def test_what_is_wrong(refusal: Callable[[str], str], text: str, message: str) -> None:
    assert refusal(text.replace(f"[{MOVE}]", f"[{{{MOVE}}}]"))[len("edit.yaml") :][: len(message)] == message


def test_unknown_words_of_an_edit_name_all_it_knows(refusal: Callable[[str], str]) -> None:
    allowed = (
        refusal(f"edits:\n- {MOVE}\n  bendd: {{}}").split("edits[0].bendd: unknown word; allowed: ")[1].split(", ")
    )
    assert set(allowed) == {*EDIT.split(", "), *OPERATIONS}


@pytest.mark.parametrize("word", OPERATIONS)
def test_every_operation_is_a_word(refusal: Callable[[str], str], word: str) -> None:
    assert refusal(f"edits:\n- {word}: {{zz: 1}}").startswith(f"edit.yaml, line 2: edits[0].{word}.zz: unknown word;")


def test_selections_of_layers_are_checked_later(read: Callable[[str], Script], folder: Path) -> None:
    script = read(
        "layers: {cat: {picture: cat.safetensors}}\nedits:\n- layer: cat\n  select: {mask: small.png}\n"
        f"  {MOVE}\n- {MOVE}\n  select: {{box: [0, 0, 9, 60]}}\n"
    )
    script.on_layer("cat", 96, 50)
    script.on_layer(None, 9, 9)
    with pytest.raises(GainerError, match=r"edit.yaml, line 4: edits\[0\].select.mask: .*small.png is 96 x 50 pixels"):
        script.on_layer("cat", 96, 64)
    assert script.where("edits", 1, "select") == f"{folder / 'edit.yaml'}, line 7: edits[1].select"


def test_scripts_made_without_a_file() -> None:
    script = Script(edits=(Edit.model_validate({"select": {"box": (0, 0, 9, 9)}, "move": {"by": (1, 2)}}),))
    script.on_layer(None, 9, 9)
    assert script.where("edits", 0) == "edits[0]"
    moved = Script(edits=(Edit.model_validate({"select": {"box": (10, 0, 19, 9)}, "move": {"by": (1, 2)}}),))
    with pytest.raises(GainerError, match=r"^edits\[0\].select.box: lies outside the picture"):
        moved.on_layer(None, 9, 9)
    with pytest.raises(GainerError, match="there is no layer 'cat'"):
        Script(edits=(Edit.model_validate({"layer": "cat", "move": {"by": (1, 2)}}),)).on_plane(9, 9)
    assert script == Script.model_validate({"edits": [{"select": {"box": [0, 0, 9, 9]}, "move": {"by": [1, 2]}}]})


def test_what_is_written(read: Callable[[str], Script], folder: Path) -> None:
    text = """edits:
- select:
    minus:
    - {mask: ear.png}
    - disc:
        center: [30, 20]
        radius: 5
    feather: 3.5
  layer: cat
  twirl: {degrees: 40}
  bend:
    degrees: -4
    axis: [[12, 22], [40, 22]]
  mode: piece
  keyframes: {0: 0, 0.5: 1}
  easing: in
- drag:
    handles:
    - from: [1, 2]
      to: [3, 4]
layers:
  cat: {picture: cat.safetensors, scale: 0.5}
background:
  inpaint: {diffusers: some/model, prompt: sand}
canvas: [0, -5, 96, 64]
frames: 48
"""
    script = read(text)
    assert script.to_yaml(folder) == text
    assert str(folder / "ear.png") in script.to_yaml()


number = st.floats(-1000, 1000)
point = st.tuples(number, number)
positive = st.floats(0.125, 8)
segment = st.tuples(point, point).filter(lambda ends: abs(ends[0][0] - ends[1][0]) > 1e-3)
grid = st.lists(st.lists(point, min_size=2, max_size=2), min_size=2, max_size=3)
operations: dict[str, st.SearchStrategy[Any]] = {
    "move": st.fixed_dictionaries({"by": point}),
    "rotate": st.fixed_dictionaries({"degrees": number}, optional={"center": point}),
    "scale": st.fixed_dictionaries({"factor": positive | st.tuples(positive, positive)}, optional={"center": point}),
    "mirror": st.sampled_from(["horizontal", {"direction": "vertical", "center": (3, 4)}]),
    "stretch": st.fixed_dictionaries({"factor": positive, "axis": segment}),
    "bend": st.fixed_dictionaries({"degrees": number, "axis": segment}),
    "twirl": st.fixed_dictionaries({"degrees": number}, optional={"center": point, "radius": positive}),
    "wave": st.fixed_dictionaries({"amplitude": number, "period": positive}, optional={"phase": number}),
    "perspective": st.just({"corners": ((0, 0), (50, 5), (40, 50), (2, 40))}),
    "cut": st.fixed_dictionaries({"line": segment, "gap": positive}),
    "pins": st.fixed_dictionaries(
        {
            "pins": st.tuples(
                st.fixed_dictionaries(
                    {"at": point}, optional={"to": point, "rotate": st.floats(-900, 900), "depth": st.floats(-9, 9)}
                )
            )
        },
        optional={"mode": st.sampled_from(["rigid", "normal", "distort"])},
    ),
    "rig": st.fixed_dictionaries(
        {"joints": st.just({"a": (1.0, 2.0), "b": (30.0, 4.0)}), "bones": st.just({"arm": ("a", "b")})},
        optional={
            "pose": st.fixed_dictionaries({"arm": st.floats(-900, 900)}),
            "ik": st.fixed_dictionaries({"b": point}),
        },
    ),
    "drag": st.fixed_dictionaries({"handles": st.tuples(st.fixed_dictionaries({"from": point, "to": point}))}),
    "lattice": st.fixed_dictionaries({"offsets": grid}),
}
feather = st.none() | st.floats(0, 50)
shape = st.one_of(
    st.just({"box": (10, 8, 40, 36.5)}),
    st.just({"polygon": ((2, 3), (90, 8), (30, 60))}),
    st.just({"disc": {"center": (30, 20), "radius": 9}}),
    st.just({"mask": "ear.png"}),
)
selection = st.recursive(
    st.just("all") | st.builds(lambda shape, feather: {**shape, "feather": feather}, shape, feather),
    lambda parts: st.builds(
        lambda kind, parts, feather: {kind: parts, "feather": feather},
        st.sampled_from(["union", "minus", "intersect"]),
        st.lists(parts, min_size=2, max_size=3),
        feather,
    ),
    max_leaves=4,
)
words = st.lists(st.sampled_from(list(operations)), min_size=1, max_size=3, unique=True)
edit = words.flatmap(
    lambda chosen: st.fixed_dictionaries(
        {word: operations[word] for word in chosen},
        optional={
            "select": selection,
            "layer": st.sampled_from(["cat", "yes", "1e3"]),
            "order": st.sampled_from(["front", "back", 2.5, {0: "front", 0.25: -1.0}]),
            "mode": st.just("piece"),
            "keyframes": st.dictionaries(st.floats(0, 1), number, min_size=1, max_size=4),
            "easing": st.sampled_from(["linear", "smooth", "bounce"]),
        },
    )
)
layer = st.fixed_dictionaries(
    {"picture": st.sampled_from(["cat.safetensors", "run/DOG.SAFETENSORS"])},
    optional={"place": point, "scale": positive, "order": st.sampled_from(["front", "back"])},
)
channel = st.floats(0, 255)
background = st.one_of(
    st.just("transparent"),
    st.fixed_dictionaries({"color": st.tuples(channel, channel, channel)}),
    st.just({"image": "beach.jpg"}),
    st.just({"inpaint": "navier-stokes"}),
    st.just({"inpaint": {"lama": "lama.pt"}}),
    st.fixed_dictionaries(
        {"inpaint": st.fixed_dictionaries({"diffusers": st.just("a/b"), "prompt": st.text(max_size=9)})}
    ),
)
script = st.fixed_dictionaries(
    {
        "edits": st.lists(edit, min_size=1, max_size=3),
        "layers": st.fixed_dictionaries({"cat": layer, "yes": layer, "1e3": layer}),
    },
    optional={
        "background": background,
        "canvas": st.just((-10, 0, 106.5, 64)),
        "frames": st.integers(1, 100_000),
        "fps": positive,
    },
)


def absolute(data: Any, folder: Path) -> Any:
    """The same script, with the paths that reading would give it, and without what is None."""
    if isinstance(data, dict):
        paths = ("mask", "picture", "image", "lama")
        return {k: folder / v if k in paths else absolute(v, folder) for k, v in data.items() if v is not None}
    return [absolute(each, folder) for each in data] if isinstance(data, list) else data


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "run").mkdir()
    for name in ("cat.safetensors", "run/DOG.SAFETENSORS", "lama.pt"):
        (folder / name).touch()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "beach.jpg")
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(folder / "ear.png")
    return folder


@given(script)
def test_written_and_read_again(files: Path, data: Any) -> None:
    made = Script.model_validate(absolute(data, files))
    path = files / "written.yaml"
    path.write_text(made.to_yaml(files), encoding="utf-8")
    try:
        made.on_layer(None, WIDTH, HEIGHT)
    except GainerError:
        assume(False)  # Parts that take all of one another away are refused, rightly.
    again = read_script(path, WIDTH, HEIGHT)
    assert again == made and [edit.words for edit in again.edits] == [edit.words for edit in made.edits]
    assert again.to_yaml(files) == made.to_yaml(files)


def test_orders(read: Callable[[str], Script]) -> None:
    edits = read(
        f"edits: [{{{MOVE}}}, {{{MOVE}, order: back}}, {{{MOVE}, order: 2.5}}, "
        f"{{{MOVE}, order: {{0.25: back, 0: front, 1: 3}}}}]"
    ).edits
    assert [edit.depth(0.5) for edit in edits] == [1, -1, 2.5, -1]
    assert [edits[3].depth(t) for t in (0, 0.2, 0.25, 0.99, 1)] == [1, 1, -1, -1, 3]


def test_the_round_trip_covers_every_operation() -> None:
    assert set(OPERATIONS) <= {*operations, "mesh"}
    assert all(issubclass(kind, Operation) for kind in OPERATIONS.values()) and Drag in OPERATIONS.values()


@pytest.mark.parametrize(
    ("words", "frames", "first", "last"),
    [
        ("frames: 5", 5, 0, 1),
        ("seconds: 2", 48, 0, 1),
        ("seconds: 0.5\nfps: 10", 5, 0, 1),
        ("frames: 4\nloop: true", 4, 0, 0.75),
        ("seconds: 1\nfps: 4\nloop: pingpong", 4, 0, 0.5),
        ("frames: 3\nloop: false", 3, 0, 1),
    ],
)
def test_how_long_a_film_is(read: Callable[[str], Script], words: str, frames: int, first: float, last: float) -> None:
    script = read(f"edits: [{MOVE}]\n{words}\n")
    assert script.frame_count() == frames == len(script.times)
    assert (script.times[0], script.times[-1]) == (first, last)
    assert read(script.to_yaml()) == script


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("frames: 5\nseconds: 2", "line 3: seconds: says how long the film is, and so does frames; leave one out"),
        ("seconds: 0", "line 2: seconds: must be greater than 0"),
        ("seconds: 9999\nfps: 100", "line 2: seconds: makes 999900 frames, but at most 100000 can be made"),
        ("loop: true", "line 2: loop: is for films; write how many frames, or seconds, it has"),
        ("frames: 5\nloop: maybe", "line 3: loop: must be true, false or pingpong, not 'maybe'"),
        ("frames: 5\nloop: 1", "line 3: loop: must be true, false or pingpong, not 1"),
    ],
)
def test_what_is_wrong_about_a_films_length(refusal: Callable[[str], str], words: str, says: str) -> None:
    assert says in refusal(f"edits: [{MOVE}]\n{words}\n")
