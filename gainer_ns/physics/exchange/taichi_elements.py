"""Taichi Elements as an engine: drives a checkout of https://github.com/taichi-dev/taichi_elements (MIT).

Only the driver is here. The checkout is named by the user, who also installs taichi, or its fork quadrants.

The solver's grid starts at 0 and has the axes of scenes, so nothing is turned over, only moved. It has one stiffness
for all bodies, one density for all but liquids, no forces but gravity, and as obstacles planes, and on a plane discs.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gainer_ns.errors import GainerError
from gainer_ns.physics.colliders import Collider, HalfSpace, SolidDisc
from gainer_ns.physics.engine import Frame, Particles, SimulationConfig, resting
from gainer_ns.physics.materials import Behaviour, Material

SOLVER = Path("engine") / "mpm_solver.py"
LANGUAGES = ("taichi", "quadrants")
"""Packages that run the solver, the first that is installed."""
MATERIALS: dict[Behaviour, int] = {"liquid": 0, "elastic": 1, "snow": 2, "sand": 3, "pinned": 4}
"""Its numbers of materials."""
STIFFNESS_FACTORS: dict[Behaviour, float] = {"elastic": 0.3}
"""What the solver multiplies its stiffness by."""
MAX_HARDENING: dict[Behaviour, float] = {"snow": 3.0}
"""How much stiffer a material may become while it deforms, which the time step allows for."""
SOLVER_CELL_SPACINGS = 2.0
"""Side of a cell in spacings of the particles, so that each has four of them."""
SOLVER_MARGIN_CELLS = 4
"""Cells beyond the domain: the solver holds back what comes within 3 of its grid's border."""
MAX_SOLVER_CELLS = 2000
"""Along one side: the solver's grid extends to 2048."""
SOLVER_COURANT_NUMBER = 0.3
"""Cells that a wave crosses in a step."""

_log = logging.getLogger(__name__)


class TaichiElementsEngine:
    """Simulate with Taichi Elements. It cannot go on from a frame: it begins again, and leaves out what is there.

    Args:
        checkout: The folder of the checkout, which holds engine/mpm_solver.py.
    """

    def __init__(self, checkout: Path) -> None:
        self._checkout = Path(checkout)

    def check_available(self) -> None:
        """Refuse to run where the checkout, or a package to run it, is not there.

        Raises:
            GainerError: If it is not.
        """
        if not (self._checkout / SOLVER).is_file():
            raise GainerError(
                f"{self._checkout}: holds no {SOLVER}; name the folder of a checkout of "
                "https://github.com/taichi-dev/taichi_elements"
            )
        if _language() is None:
            raise GainerError("Taichi Elements needs a package that is not installed; pip install taichi")

    def run(
        self, config: SimulationConfig, particles: Particles, materials: Sequence[Material], start: Frame | None = None
    ) -> Iterator[Frame]:
        """Simulate; see :class:`gainer_ns.physics.engine.Engine`.

        Gradients come where all that moves is elastic: of other materials the solver keeps the elastic part alone.

        Raises:
            GainerError: If it is not available, the scene has what it lacks, or its simulation blows up.
        """
        self.check_available()
        _check(config, particles, materials)
        first = 0 if start is None else round(start.time * config.fps) + 1
        with _importing(self._checkout):
            bodies = _Bodies(self._checkout, config, particles, materials)
        for number in range(config.frames):
            frame = resting(particles)
            if number > 0:
                with _importing(self._checkout):
                    bodies.advance((number - 1) / config.fps, number / config.fps)
                    frame = Frame(number / config.fps, *bodies.read())
            if not bool(frame.positions.isfinite().all()):
                raise GainerError(
                    f"{self._checkout}: its simulation blew up before {number / config.fps:.3g} s; make bodies "
                    "softer, or simulate with --engine mpm"
                )
            if number >= first:
                yield frame


class _Bodies:
    """Particles in the solver."""

    def __init__(
        self, checkout: Path, config: SimulationConfig, particles: Particles, materials: Sequence[Material]
    ) -> None:
        self._config, self._like = config, particles.positions
        extents = np.subtract(config.high, config.low)
        cells = config.cells or max(8, math.ceil(extents.max() / (SOLVER_CELL_SPACINGS * particles.spacing)))
        if cells + 2 * SOLVER_MARGIN_CELLS > MAX_SOLVER_CELLS:
            raise GainerError(
                f"a grid of {cells} cells is finer than Taichi Elements allows; simulate fewer particles, or write "
                f"cells: {MAX_SOLVER_CELLS - 2 * SOLVER_MARGIN_CELLS} into the scene"
            )
        self._cell = float(extents.max()) / cells
        resolution = tuple(math.ceil(extent / self._cell - 1e-6) + 2 * SOLVER_MARGIN_CELLS for extent in extents)
        self._origin = np.array(config.low) - SOLVER_MARGIN_CELLS * self._cell
        size = resolution[0] * self._cell
        moving = [
            materials[body] for body in particles.bodies.unique().tolist() if materials[body].behaviour != "pinned"
        ]
        first, second, reference = _stiffness(moving)
        speeds = []
        for one in moving:
            factor = MAX_HARDENING.get(one.behaviour, 1.0) * STIFFNESS_FACTORS.get(one.behaviour, 1.0)
            density = one.density if one.behaviour == "liquid" else reference
            speeds.append(math.sqrt(factor * (first + 2 * second) / density))
        fastest = max(speeds)
        liquids = [one.density for one in moving if one.behaviour == "liquid"]
        solver_type = _solver_type(checkout, particles.positions.device)
        known = inspect.signature(solver_type.__init__).parameters
        chunk = 2**20 if particles.dimensions == 2 else 2**23
        words = {
            "res": resolution,
            "size": size,
            # Its own step is 0.02 of a cell in grids of size 1.
            "dt_scale": SOLVER_COURANT_NUMBER * size / (0.02 * fastest),
            "water_density": liquids[0] / reference if liquids else 1.0,
            "max_num_particles": chunk * math.ceil(len(particles) / chunk),
            "use_voxelizer": False,
        }
        self._solver: Any = solver_type(**{word: value for word, value in words.items() if word in known})
        unit = getattr(self._solver, "p_rho", 1000) / reference
        # Kernels read these when they are compiled, in the first step.
        self._solver.lambda_0, self._solver.mu_0 = first * unit, second * unit
        for sand in (one for one in moving if one.behaviour == "sand"):
            sine = math.sin(math.radians(sand.friction_angle))
            self._solver.alpha = math.sqrt(2 / 3) * 2 * sine / (3 - sine)
        self._is_elastic = all(one.behaviour == "elastic" for one in moving)
        for collider in config.colliders:
            self._add_collider(collider)
        self._add(particles, materials)

    def _add(self, particles: Particles, materials: Sequence[Material]) -> None:
        """Add the particles in groups of one material and velocity, which is how the solver takes them."""
        numbers = np.array([MATERIALS.get(material.behaviour, -1) for material in materials])
        kinds = numbers[particles.bodies.cpu().numpy()]
        velocities = particles.velocities.detach().cpu().numpy().astype(np.float32)
        velocities = np.where(kinds[:, None] == MATERIALS["pinned"], 0, velocities)
        groups, which = np.unique(np.column_stack([kinds, velocities]), axis=0, return_inverse=True)
        which = which.reshape(-1)
        self._order = np.argsort(which, kind="stable")
        places = (particles.positions.detach().cpu().double().numpy() - self._origin).astype(np.float32)[self._order]
        ends = np.cumsum(np.bincount(which))
        for (kind, *velocity), begin, end in zip(groups.tolist(), [0, *ends[:-1]], ends, strict=True):
            self._solver.add_particles(np.ascontiguousarray(places[begin:end]), int(kind), velocity=velocity)

    def _add_collider(self, collider: Collider) -> None:
        surface = {"sticky": 0, "slip": 1, "separate": 2}[collider.surface]
        if isinstance(collider, HalfSpace):
            d = len(self._origin)
            point, normal = ((*one, 0.0)[:d] for one in (collider.point, collider.normal))
            friction = 0.0 if collider.surface == "sticky" else collider.friction
            place = (np.array(point) - self._origin).tolist()
            self._solver.add_surface_collider(place, normal, surface=surface, friction=friction)
        elif isinstance(collider, SolidDisc):
            if collider.surface != "sticky" and collider.friction > 0:
                _log.warning("Taichi Elements has no friction on discs; that of the scene is left out")
            place = (np.array(collider.center) - self._origin).tolist()
            self._solver.add_sphere_collider(place, collider.radius, surface=surface)

    def advance(self, begin: float, end: float) -> None:
        """Simulate from one time to another, under the gravity in the middle between them."""
        gravity = (*self._config.gravity.at((begin + end) / 2), 0.0)[: len(self._origin)]
        self._solver.set_gravity(tuple(float(part) for part in gravity))
        # It may take a substep more than was asked for, but says how far it came.
        span = end - float(getattr(self._solver, "t", begin))
        if span > 1e-9:
            self._solver.step(span)

    def read(self) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d d"] | None]:
        """Return where the particles are, and their deformation gradients if they are known."""
        positions = np.asarray(self._solver.particle_info()["position"], dtype=np.float64) + self._origin
        gradients = self._gradients(len(positions))
        return self._in_order(positions), None if gradients is None else self._in_order(gradients)

    def _gradients(self, count: int) -> np.ndarray | None:
        """Return what the solver says of deformation, in its order."""
        d, field = len(self._origin), getattr(self._solver, "F", None)
        if not self._is_elastic or field is None or not hasattr(self._solver, "copy_dynamic"):
            return None
        gradients = np.empty((count, d, d), dtype=np.float32)
        part = np.empty(count, dtype=np.float32)
        for row in range(d):
            for column in range(d):
                self._solver.copy_dynamic(part, field.get_scalar_field(row, column))
                gradients[:, row, column] = part
        return gradients

    def _in_order(self, values: np.ndarray) -> Tensor:
        restored = np.empty(values.shape, dtype=np.float32)
        restored[self._order] = values
        return torch.from_numpy(restored).to(self._like)


@contextlib.contextmanager
def _importing(checkout: Path) -> Iterator[None]:
    """Let the checkout import its own modules, and its compiler keep its doubts about their style to itself."""
    sys.path.insert(0, str(checkout))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(checkout))


def _check(config: SimulationConfig, particles: Particles, materials: Sequence[Material]) -> None:
    """Refuse what the solver lacks.

    Raises:
        GainerError: If there is any of it.
    """
    remedy = "or simulate with --engine mpm"
    if config.forces or config.pulls:
        raise GainerError(f"Taichi Elements knows no forces but gravity; leave others out of the scene, {remedy}")
    present = [materials[body] for body in particles.bodies.unique().tolist()]
    for behaviour in (one.behaviour for one in present):
        if behaviour not in MATERIALS:
            raise GainerError(f"Taichi Elements knows no {behaviour} bodies; make them stiff, {remedy}")
    if any(one.tear is not None for one in present):
        raise GainerError(f"Taichi Elements tears nothing; leave tear out of the scene, {remedy}")
    if all(one.behaviour == "pinned" for one in present):
        raise GainerError("all bodies are pinned, so nothing moves; give one another material")
    for collider in config.colliders:
        is_round = isinstance(collider, SolidDisc) and config.dimensions == 2
        if not (isinstance(collider, HalfSpace) or is_round):
            known = "planes and discs" if config.dimensions == 2 else "planes"
            raise GainerError(
                f"Taichi Elements knows no obstacles but {known}; leave others out of the scene, {remedy}"
            )


def _stiffness(materials: Sequence[Material]) -> tuple[float, float, float]:
    """Return Lamé's parameters and the density that the solver is to have for all, from those of the stiffest material.

    A liquid tells the first parameter alone; the second is then as if Poisson's ratio were 0.2, the solver's own.
    """
    wanted = []
    for one in materials:
        first, second = (part / STIFFNESS_FACTORS.get(one.behaviour, 1.0) for part in one.lame)
        wanted.append((first, second or 1.5 * first))
    stiffest = max(wanted, key=lambda pair: pair[0] + 2 * pair[1])
    solid = [one.density for one in materials if one.behaviour != "liquid"]
    density = solid[0] if solid else materials[0].density
    if any(not math.isclose(pair[0], stiffest[0], rel_tol=0.1) for pair in wanted):
        _log.warning("Taichi Elements has one stiffness for all bodies; that of the stiffest is taken")
    if any(not math.isclose(one, density, rel_tol=0.1) for one in solid):
        _log.warning("Taichi Elements has one density for all but liquids; that of the first body is taken")
    return (*stiffest, density)


def _language() -> str | None:
    """Return the package that runs the solver."""
    found = ((name, importlib.util.find_spec(name)) for name in LANGUAGES)
    return next((name for name, spec in found if spec is not None and spec.origin is not None), None)  # no bare folder


def _solver_type(checkout: Path, device: torch.device) -> Any:
    """Return the solver's class, with the package that runs it made ready.

    Raises:
        GainerError: If either cannot be imported.
    """
    for name in LANGUAGES:
        os.environ.setdefault(f"ENABLE_{name.upper()}_HEADER_PRINT", "0")
    path = checkout / SOLVER
    try:
        language = importlib.import_module(_language() or LANGUAGES[0])
        sys.modules.setdefault("taichi", language)  # by which name the checkout knows its fork too
        language.init(arch=language.gpu if device.type == "cuda" else language.cpu, log_level="error")
        spec = importlib.util.spec_from_file_location("gainer_ns_taichi_elements_checkout", path)
        assert spec is not None and spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where the compiler of kernels looks for their source
        module.__dict__["print"] = lambda *_, **__: None  # it draws a dot for every step
        spec.loader.exec_module(module)
        return module.MPMSolver
    except Exception as error:  # whatever a checkout of another time runs into
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GainerError(
            f"{path}: cannot be run ({reason}); check out its newest version, and pip install taichi"
        ) from error
