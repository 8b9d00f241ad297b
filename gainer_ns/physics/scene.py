"""What a scene file may say, checked on reading: bodies, what acts on them, where, how long, and how that is filmed.

Lengths are widths of the picture, x to the right and y down from its top-left corner; times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from jaxtyping import Float
from pydantic import Field, PrivateAttr, Tag, field_validator, model_validator
from torch import Tensor

from gainer_ns.editing.backgrounds import Background
from gainer_ns.editing.film_length import FrameRate
from gainer_ns.editing.placed_script import PlacedScript
from gainer_ns.editing.selection import WORD_OR_BOX, Box, ScriptModel, Selection, words_beside_box
from gainer_ns.errors import GainerError
from gainer_ns.io.image_io import MAX_PIXELS
from gainer_ns.io.places import PlacedError, dotted
from gainer_ns.io.yaml_file import read_document
from gainer_ns.physics.bodies import Body, body_fields
from gainer_ns.physics.colliders import Collider, HalfSpace, Obstacle, border_colliders
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.forces import Force, Gravity
from gainer_ns.physics.lengths import (
    Bounds,
    GrainSize,
    check_one_of,
    grain_pixels,
    in_pixels,
    intersection,
    is_empty,
    scaled,
)
from gainer_ns.physics.materials import Material
from gainer_ns.physics.pulls import Pull

MAX_FRAMES = 100_000
DEFAULT_MARGIN = (0.25, 0.15, 0.25, 0.3)
"""Room around what the picture shows, in widths: to fall by half the height of most things, and to spread."""

_HINT = "lengths in scenes are widths of the picture, so 0.5 is half of it"
_Margin = Annotated[float, Field(strict=True, ge=0, le=1e4, allow_inf_nan=False)]


_Canvas = Annotated[
    Annotated[Literal["auto", "domain"], Tag("word")] | Annotated[Box, Tag("box")],
    WORD_OR_BOX,
    words_beside_box("auto", "domain"),
]


class Domain(ScriptModel):
    """Where everything happens; nothing leaves it. One of the two.

    Attributes:
        margin: Room around what the picture shows, in widths: left, top, right and bottom, or one number for all.
        box: Left, top, right and bottom, in widths.
    """

    margin: tuple[_Margin, _Margin, _Margin, _Margin] | None = None
    box: Box | None = None

    @field_validator("margin", mode="before")
    @classmethod
    def _read_number(cls, data: Any) -> Any:
        return data if isinstance(data, list | tuple) or data is None else (data,) * 4

    @model_validator(mode="after")
    def _one_kind(self) -> Domain:
        check_one_of(self, ("margin", "box"))
        return self

    def around(self, content: Bounds) -> Bounds:
        """Return left, top, right and bottom, in widths, given what the picture shows, in widths."""
        if self.box is not None:
            return self.box
        left, top, right, bottom = self.margin or DEFAULT_MARGIN
        return content[0] - left, content[1] - top, content[2] + right, content[3] + bottom


class _SceneFrame(NamedTuple):
    """The picture that a scene is for: its size and the box around what it shows, in pixels."""

    width: int
    height: int
    content: Bounds


def _number_or_all(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and 16 <= value <= 10**8):
        return value
    raise ValueError("must be how many particles are simulated, from 16 to 100000000, or all for every Gaussian")


class Scene(PlacedScript):
    """A scene file, and once it is ``on`` a picture, what it means there.

    Attributes:
        bodies: What moves; of what several select the first has it, and what none selects stays where it is.
        gravity: What accelerates everything alike.
        forces: What else accelerates bodies.
        pulls: Hands that hold bodies, and go somewhere with them.
        colliders: What is in the way, besides the domain's borders.
        domain: Where everything happens.
        duration: How long, in seconds.
        fps: Frames a second.
        background: What shows through and beyond, as in edit scripts.
        canvas: Left, top, right and bottom of what is filmed, in widths; ``auto`` for all that what is shown reaches in
            the film, or ``domain``.
        camera: Whether the canvas stands still or follows the bodies' centre of mass.
        particles: How many are simulated, or all: every Gaussian.
        grain: Diameter of a grain of sand or snow, ``2px`` or ``0.5%`` of the width; chosen to suit the particles if
            None.
        cells: Cells of the grid along the domain's longer side; chosen to suit the particles if None.
        seed: Of all that is random.
    """

    bodies: Annotated[tuple[Body, ...], Field(min_length=1, max_length=64)]
    gravity: Gravity = Gravity()
    forces: tuple[Force, ...] = ()
    pulls: tuple[Pull, ...] = ()
    colliders: tuple[Obstacle, ...] = ()
    domain: Domain = Domain(margin=DEFAULT_MARGIN)
    duration: Annotated[float, Field(strict=True, gt=0, le=1e5, allow_inf_nan=False)] = 3.0
    fps: FrameRate = 30.0
    background: Background = Background(transparent=True)
    canvas: _Canvas = "auto"
    camera: Literal["still", "follow"] = "still"
    particles: Annotated[int | Literal["all"], Field(union_mode="left_to_right")] = 20_000
    grain: GrainSize | None = None
    cells: Annotated[int, Field(strict=True, ge=8, le=4096)] | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 0

    _shown: _SceneFrame = PrivateAttr(_SceneFrame(1, 1, (0.0, 0.0, 1.0, 1.0)))
    _regions: tuple[Selection, ...] = PrivateAttr(())

    _check_particles = field_validator("particles", mode="before")(_number_or_all)

    @model_validator(mode="after")
    def _moves(self) -> Scene:
        if all(body.is_pinned for body in self.bodies):
            raise PlacedError(("bodies",), "are all pinned, so nothing moves; give one another material")
        if self.frames > MAX_FRAMES:
            raise PlacedError(("duration",), f"makes {self.frames} frames, but at most {MAX_FRAMES} can be made")
        return self

    def mistake(self, number: int, error: PlacedError) -> GainerError:
        """Return a mistake in a body as the one line that the user sees."""
        error = error.below("bodies", number)
        return self._places.error(error.loc, error.problem)

    def on(self, width: int, height: int, content: Bounds) -> Scene:
        """Place the scene on a picture, and check it against that; see :func:`read_scene`.

        Raises:
            GainerError: A selection, the domain, the canvas or a collider does not fit the picture.
        """
        scene = self.model_copy()
        scene._shown = _SceneFrame(width, height, content)
        scene._regions = tuple(body.region(width, content) for body in self.bodies)
        try:
            scene._check()
        except PlacedError as error:
            raise self._places.error(error.loc, error.problem) from None
        return scene

    @property
    def is_painted(self) -> bool:
        """Whether masks, which are of the picture's own size, tell what bodies are."""
        return any(body.select.is_painted for body in self.bodies)

    @property
    def frames(self) -> int:
        """How many frames there are, with the one at time 0."""
        return round(self.duration * self.fps) + 1

    @property
    def grain_px(self) -> float | None:
        """Diameter of a grain, in pixels; None for one that suits the particles."""
        return None if self.grain is None else grain_pixels(self.grain, self._shown.width)

    @property
    def materials(self) -> tuple[Material, ...]:
        """What each body is made of."""
        return tuple(body.material.material for body in self.bodies)

    @property
    def box(self) -> Bounds:
        """Left, top, right and bottom of the domain, in widths."""
        return self.domain.around(scaled(self._shown.content, 1 / self._shown.width))

    @property
    def filmed(self) -> Bounds | None:
        """Left, top, right and bottom of what is filmed, in pixels; None where that is all that is shown."""
        if self.canvas == "auto":
            return None
        return scaled(self.box if self.canvas == "domain" else self.canvas, self._shown.width)

    def rest_extent(self, rim: float) -> Bounds:
        """Return left, top, right and bottom of what the picture shows at rest, in pixels, and of a rim around it.

        The rim ends at the picture's frame: a photo has nothing around it.
        """
        width, height, (left, top, right, bottom) = self._shown
        return max(left - rim, 0.0), max(top - rim, 0.0), min(right + rim, width), min(bottom + rim, height)

    def body_fields(self, points: Float[Tensor, "m 2"]) -> Float[Tensor, "b m"]:
        """Return how far inside each body points in pixels are: 0.5 on its edge, more inside; in no two at once."""
        return body_fields(self._regions, points)

    def simulation_config(self, dimensions: int = 2, depth: tuple[float, float] = (-0.5, 0.5)) -> SimulationConfig:
        """Return what an engine is told.

        Args:
            dimensions: 2 on a plane, 3 in space.
            depth: In space, the domain's lowest and highest z, in widths.
        """
        left, top, right, bottom = self.box
        walls: tuple[Collider, ...] = border_colliders(self.box, self.colliders)
        low, high = (left, top), (right, bottom)
        if dimensions == 3:
            low, high = (*low, depth[0]), (*high, depth[1])
            walls += tuple(
                HalfSpace("separate", 0.0, (left, top, z), (0.0, 0.0, sign))
                for z, sign in zip(depth, (1.0, -1.0), strict=True)
            )
        return SimulationConfig(
            low=low,
            high=high,
            gravity=self.gravity,
            forces=tuple(force.on(self._shown.width, self.seed, i) for i, force in enumerate(self.forces)),
            pulls=self.pulls,
            colliders=(*(one for each in self.colliders for one in each.colliders(self.box)), *walls),
            frames=self.frames,
            fps=self.fps,
            cells=self.cells,
        )

    def check_particles(self, particles: Particles) -> None:
        """Check what only the particles tell: that they are in the domain and out of all colliders.

        Raises:
            GainerError: In one line, with the place in the scene's file.
        """
        left, top, right, bottom = self.box
        x, y = particles.positions.unbind(-1)[:2]
        some = particles.spacing  # what an antialiased edge reaches beyond the box of what shows
        is_out = (x < left - some) | (x > right + some) | (y < top - some) | (y > bottom + some)
        for number, body in enumerate(self.bodies):
            is_own = particles.bodies == number
            if bool((is_out & is_own).any()):
                own = particles.positions[is_own]
                low, high = own.amin(dim=0).tolist(), own.amax(dim=0).tolist()
                raise self._places.error(("domain",), self._too_small(number, (*low[:2], *high[:2])))
            for i, obstacle in enumerate(self.colliders):
                for collider in obstacle.colliders(self.box):
                    deepest = float(collider.depth(particles.positions[is_own]).max())
                    # What is pinned may stand in the ground; what only touches does no harm.
                    if deepest > particles.spacing / 2 and not body.is_pinned:
                        problem = (
                            f"reaches {deepest:.3g} widths into {dotted(('bodies', number))}; move it out of there"
                        )
                        raise self._places.error(("colliders", i), problem)

    def _check(self) -> None:
        """Check the scene against its picture, but for what only the particles tell; mistakes are ``PlacedError``s."""
        width, height, content = self._shown
        for i, (body, region) in enumerate(zip(self.bodies, self._regions, strict=True)):
            self._check_fits(body.select, "bodies", i, "select")
            seen = intersection(region.bounds(width, height), content)
            if is_empty(seen):
                where = _words(scaled(content, 1 / width))
                raise PlacedError(
                    ("bodies", i), f"takes nothing of what the picture shows, which is in {where}; {_HINT}"
                )
            seen, box = scaled(seen, 1 / width), self.box
            if any(abs(a - b) > 1e-6 for a, b in zip(intersection(seen, box), seen, strict=True)):
                raise PlacedError(("domain",), self._too_small(i, seen))
        for i, force in enumerate(self.forces):
            if force.region is not None:
                self._check_fits(force.region, "forces", i, "region")
        for i, obstacle in enumerate(self.colliders):
            if not all(collider.touches(self.box) for collider in obstacle.colliders(self.box)):
                raise PlacedError(("colliders", i), f"lies outside the domain, which is {_words(self.box)}; {_HINT}")
        for i, pull in enumerate(self.pulls):
            if not pull.touches(self.box):
                raise PlacedError(("pulls", i), f"is never in the domain, which is {_words(self.box)}; {_HINT}")
        left, top, right, bottom = filmed = self.filmed or scaled(self.box, width)  # at most
        if all(is_empty(intersection(filmed, seen)) for seen in (scaled(self.box, width), (0, 0, width, height))):
            problem = f"shows neither the picture nor the domain, which is {_words(self.box)}; {_HINT}"
            raise PlacedError(("canvas",), problem)
        if (right - left) * (bottom - top) > MAX_PIXELS:
            word = "domain" if isinstance(self.canvas, str) else "canvas"
            problem = f"is {right - left:.0f} x {bottom - top:.0f} pixels of the picture, too many to draw; {_HINT}"
            raise PlacedError((word,), problem)

    def _check_fits(self, selection: Selection, *loc: int | str) -> None:
        """Check a selection in widths against the picture's size."""
        if selection.matte:
            raise PlacedError((*loc, "matte"), "is for edit scripts; select by the mask.png of gainer prepare --matte")
        try:
            in_pixels(selection, self._shown.width).check(self._shown.width, self._shown.height)
        except PlacedError as error:
            problem = error.problem if error.loc[-1:] == ("mask",) else f"{error.problem}; {_HINT}"
            raise PlacedError((*loc, *error.loc), problem) from None

    def _too_small(self, number: int, body: Bounds) -> str:
        """Return what is said of a domain that does not hold a body of these bounds, in widths."""
        name = dotted(("bodies", number))
        return f"{_words(self.box)} does not hold {name}, which is in {_words(body)}; enlarge it, or write a margin"


def read_scene(source: Path | Mapping[str, Any], width: int, height: int, content: Bounds) -> Scene:
    """Read a scene file and check it against the picture that it is for.

    What only the particles tell is left to :meth:`Scene.check_particles`.

    Args:
        source: The YAML file, whose paths start at its folder, or what would be in it.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        content: Left, top, right and bottom of what the picture shows, in pixels: of what is not transparent.

    Raises:
        GainerError: In one line: the file, the line, the place, what is wrong there, and what is allowed.
    """
    scene, places = read_document(source, Scene)
    scene._places = places
    return scene.on(width, height, content)


def _words(box: Bounds) -> str:
    """Return a box in a message."""
    return f"[{', '.join(f'{each:.3g}' for each in box)}]"
