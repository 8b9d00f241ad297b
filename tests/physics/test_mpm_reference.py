"""The kernels of the default engine against plain torch in double precision: one step, and what materials answer."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import warp as wp
from torch import Tensor

from gainer_ns.gaussians.kernels import Typed, launch, matrix, vector
from gainer_ns.physics.colliders import HalfSpace
from gainer_ns.physics.engine import Particles, SimulationConfig
from gainer_ns.physics.forces import Force, Gravity
from gainer_ns.physics.materials import PRESETS, Material
from gainer_ns.physics.mpm import material_kernels as kinds
from gainer_ns.physics.mpm.engine import MpmSimulation
from gainer_ns.physics.mpm.grid import Grid
from gainer_ns.physics.mpm.kernels import WALL_SOLIDITY
from gainer_ns.physics.mpm.material_kernels import damped_of, rotation_of, sand_of, singular_of, snow_of, stress_of
from gainer_ns.physics.mpm.solids.kernels import piola_of
from gainer_ns.physics.mpm.state import MpmState

CPU = torch.device("cpu")
EACH = 40
"""Particles of each material."""
DT = 1e-3
NAMES = ("liquid", "sand", "snow", "rigid")
LIQUID, SAND, SNOW, RIGID = range(4)
MATERIALS = tuple(PRESETS[name] for name in NAMES)


def double(*tensors: Tensor) -> list[Tensor]:
    return [each.double() for each in tensors]


def eyes(count: int, dimensions: int) -> Tensor:
    return torch.eye(dimensions, dtype=torch.float64).repeat(count, 1, 1)


def near(dimensions: int, count: int, size: float, seed: int = 0) -> Tensor:
    """Random matrices around the identity."""
    random = torch.Generator().manual_seed(seed)
    return eyes(count, dimensions) + size * torch.randn(count, dimensions, dimensions, generator=random).double()


def svd(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """With rotations: what is a reflection changes the sign of the least singular value."""
    left, sizes, right = torch.linalg.svd(matrices)
    sizes = sizes.clone()
    for factor, last in ((left, (slice(None), slice(None), -1)), (right, (slice(None), -1))):
        sign = factor.det().sign()
        factor[last] *= sign[:, None]
        sizes[:, -1] *= sign
    return left, sizes, right


def corotated(matrices: Tensor, material: Material) -> Tensor:
    """Kirchhoff stress of the fixed corotated model."""
    first, second = material.lame
    left, _, right = svd(matrices)
    volume = matrices.det()[:, None, None]
    eye = torch.eye(matrices.shape[1], dtype=torch.float64)
    return 2 * second * (matrices - left @ right) @ matrices.mT + first * (volume - 1) * volume * eye


def hardness(plastic: Tensor) -> Tensor:
    return (10 * (1 - plastic)).exp().clamp(max=5)[:, None, None]


def yielded(matrices: Tensor, plastic: Tensor) -> tuple[Tensor, Tensor]:
    """Snow after it has yielded."""
    left, sizes, right = svd(matrices)
    kept = sizes.clamp(1 - 2.5e-2, 1 + 7.5e-3)
    return left @ kept.diag_embed() @ right, (plastic * (sizes / kept).prod(dim=1)).clamp(0.1, 10)


# One step.


def scene_of_all(dimensions: int, seed: int) -> MpmSimulation:
    """Random particles of every material, all over one another, in motion, and strained."""
    random = torch.Generator().manual_seed(seed)
    count = EACH * len(MATERIALS)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    bodies = torch.arange(len(MATERIALS)).repeat_interleave(EACH)
    positions = 0.3 + 0.4 * torch.rand(count, dimensions, generator=random)
    volumes = 0.04**dimensions * (0.5 + torch.rand(count, generator=random))
    velocities = 0.5 * some(count, dimensions)
    slope = HalfSpace("separate", 0.3, (0.5, 0.6), (math.sin(0.3), -math.cos(0.3)))
    wall = HalfSpace("slip", 0.1, (0.35, 0.5), (1.0, 0.0))
    ceiling = HalfSpace("sticky", 0.0, (0.5, 0.35), (0.0, 1.0))
    wind = Force.model_validate({"attractor": {"center": [0.8, 0.2], "strength": 3.0, "radius": 0.3}})
    bounds = (0.0,) * dimensions, (1.0,) * dimensions
    config = SimulationConfig(*bounds, Gravity.model_validate([0.7, 5.0]), (wind,), (slope, wall, ceiling))
    particles = Particles(positions, volumes, velocities, bodies, torch.arange(count), 0.04)
    simulation = MpmSimulation(config, particles, MATERIALS)
    square = (count, dimensions, dimensions)
    eye = torch.eye(dimensions)
    elastic = eye + 0.05 * some(*square)
    elastic[(bodies == SAND) | (bodies == RIGID)] = eye  # sand without stress: its law has its own tests
    inner = torch.where(bodies == LIQUID, 1 - 0.1 * torch.rand(count, generator=random), simulation.state.inner)
    inner = torch.where(bodies == SNOW, 1 + 0.05 * some(count), inner)
    affine = 3 * some(*square)
    simulation.state = MpmState(positions, velocities, affine, elastic, eye + 0.05 * some(*square), inner)
    simulation.state.total[bodies == RIGID] = eye
    return simulation


def spline(distances: Tensor) -> Tensor:
    """The quadratic B-spline."""
    d = distances.abs()
    return torch.where(d < 0.5, 0.75 - d**2, torch.where(d < 1.5, 0.5 * (1.5 - d) ** 2, 0))


def collided(velocities: Tensor, simulation: MpmSimulation) -> Tensor:
    """Velocities of the nodes after what is in the way, one obstacle after the other."""
    places = simulation.grid.places
    for collider in simulation.config.colliders:
        normals = collider.normals(places)
        inside = collider.depth(places) >= 0
        into = -(velocities * normals).sum(dim=1, keepdim=True)
        along = velocities + into * normals
        speed = along.norm(dim=1, keepdim=True).clamp(min=1e-30)
        slowed = along * (1 - collider.friction * into.clamp(min=0) / speed).clamp(min=0)
        if collider.surface == "sticky":
            answer = torch.zeros_like(velocities)
        elif collider.surface == "slip":
            answer = slowed
        else:
            answer = torch.where(into > 0, slowed, velocities)
        velocities = torch.where(inside[:, None], answer, velocities)
    return velocities


def turned(velocities: Tensor, places: Tensor, masses: Tensor, dt: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A rigid body after a step, from its momentum and its angular momentum, in space also where it is flat."""
    flat = places.shape[1] == 2
    arms = places - (masses[:, None] * places).sum(dim=0) / masses.sum()
    linear = (masses[:, None] * velocities).sum(dim=0) / masses.sum()
    pad = torch.nn.functional.pad
    arms3, velocities3 = (pad(each, (0, 1)) if flat else each for each in (arms, velocities))
    momentum = (masses[:, None] * torch.linalg.cross(arms3, velocities3)).sum(dim=0)
    eye = torch.eye(3, dtype=torch.float64)
    inertia = (masses * arms3.square().sum(dim=1)).sum() * eye - arms3.T @ (masses[:, None] * arms3)
    spin = torch.linalg.solve(inertia, momentum)
    turning = torch.linalg.cross(spin.expand(3, 3), eye).T  # its columns are spin x axis
    rotation = torch.linalg.matrix_exp(dt * turning)
    if flat:
        turning, rotation = turning[:2, :2], rotation[:2, :2]
    arms_after = arms @ rotation.T
    return places - arms + dt * linear + arms_after, linear + arms_after @ turning.T, turning, rotation


def reference_step(simulation: MpmSimulation, dt: float) -> dict[str, Tensor]:
    """Every particle with every node."""
    state, grid = simulation.state, simulation.grid
    bodies, places, cell = simulation._particles.bodies, grid.places, grid.cell
    x, v, C, F, total, inner = double(
        state.positions, state.velocities, state.affine, state.elastic, state.total, state.inner
    )
    densities = torch.tensor([material.density for material in MATERIALS]).double()
    volumes = simulation._particles.volumes.double()
    masses = densities[bodies] * volumes
    of = {kind: (bodies == kind).nonzero()[:, 0] for kind in range(len(NAMES))}
    stress = torch.zeros_like(F)
    stress[of[SNOW]] = hardness(inner[of[SNOW]]) * corotated(F[of[SNOW]], MATERIALS[SNOW])
    eye = torch.eye(x.shape[1], dtype=torch.float64)
    ratio = inner[of[LIQUID]][:, None, None]
    stress[of[LIQUID]] = MATERIALS[LIQUID].E * (ratio - 1) * ratio * eye
    # Particles to grid.
    away = places[None] - x[:, None]  # [n, m, d]
    weights = spline(away / cell).prod(dim=2)
    given = masses[:, None, None] * C - dt * 4 / cell**2 * volumes[:, None, None] * stress
    momentum = torch.einsum("nm,nd->md", weights * masses[:, None], v)
    momentum += torch.einsum("nm,nde,nme->md", weights, given, away)
    node_masses = weights.T @ masses
    nodes = momentum / node_masses.clamp(min=1e-300)[:, None]
    gravity = torch.tensor([*simulation.config.gravity.at(0.0), 0.0]).double()[: x.shape[1]]
    nodes += dt * gravity
    for force in simulation.config.forces:
        nodes += dt * force.amount(0.0) * force.field(places)
    nodes = collided(nodes, simulation)
    nodes[node_masses == 0] = 0
    # Grid to particles.
    v = weights @ nodes
    C = 4 / cell**2 * torch.einsum("nm,nmd,nme->nde", weights, nodes[None].expand_as(away), away)
    moved, grown = x + dt * v, eye + dt * C
    F, total = grown @ F, grown @ total
    F[of[SNOW]], inner[of[SNOW]] = yielded(F[of[SNOW]], inner[of[SNOW]])
    inner[of[LIQUID]] *= 1 + dt * C[of[LIQUID]].diagonal(dim1=1, dim2=2).sum(dim=1)
    rigid = of[RIGID]
    moved[rigid], v[rigid], C[rigid], total[rigid] = turned(v[rigid], x[rigid], masses[rigid], dt)
    F[rigid] = eye
    return {"positions": moved, "velocities": v, "affine": C, "elastic": F, "total": total, "inner": inner}


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_step_is_that_of_plain_torch(dimensions: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = scene_of_all(dimensions, seed)
    monkeypatch.setattr(simulation, "steps_for", lambda *_: 1)
    monkeypatch.setattr(simulation, "_look", lambda *_: None)  # random states hold energies as they please
    bodies, before = simulation._particles.bodies, simulation.state
    expected = reference_step(simulation, DT)
    simulation.advance(0.0, DT)
    scales = {"positions": DT, "velocities": 1.0, "affine": 30.0, "elastic": 0.05, "total": 0.05, "inner": 0.05}
    for name, value in simulation.state.as_dict().items():
        for kind, material in enumerate(NAMES):
            # The law of sand and what liquid learns of its density are tested by what they are to do.
            if (kind == SAND and name in ("elastic", "inner")) or (kind == LIQUID and name in ("elastic", "inner")):
                continue
            own = bodies == kind
            error = float((value[own].double() - expected[name][own]).abs().max())
            assert error < 1e-3 * scales[name], (name, material)
            if name in ("positions", "velocities", "affine"):
                assert float((value[own] - before.as_dict()[name][own]).abs().max()) > 10 * 1e-3 * scales[name]
    liquid, grid = bodies == LIQUID, simulation.grid
    learnt = simulation.state.inner[liquid].double() - expected["inner"][liquid]
    weights = spline((grid.places[None] - before.positions[liquid, None]) / grid.cell).prod(dim=2)
    by_wall = weights @ grid.solidity.double() > WALL_SOLIDITY
    assert bool((learnt[~by_wall] < 1e-6).all()), "it learns that it is denser, not that it is thinner"
    thinner = by_wall & (learnt > 1e-6)
    assert bool((simulation.state.inner[liquid][thinner] <= 1).all()), "but by walls"


@pytest.mark.parametrize("dimensions", [2, 3])
def test_solidity_is_the_share_of_a_nodes_weight_inside_of_walls(dimensions: int) -> None:
    grid = scene_of_all(dimensions, 0).grid
    floor = HalfSpace("sticky", 0.0, (0.5, 0.61), (0.0, -1.0))
    grid = Grid.over(replace(grid.config, colliders=(floor,)), grid.cell, CPU)
    offsets = torch.linspace(-1.5, 1.5, 3001).double()
    inside = grid.places[:, 1, None] + grid.cell * offsets > 0.61
    expected = (spline(offsets) * inside).sum(dim=1) / spline(offsets).sum()
    torch.testing.assert_close(grid.solidity.double(), expected, rtol=0, atol=2e-3)


# What materials answer, each by a kernel of its own.


def answers(make: Any, dimensions: int, *inputs: Tensor) -> list[Tensor]:
    """What a kernel gives that is made for so many dimensions, from matrices and numbers, in double precision."""
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    types = {1: wp.float32, 2: place, 3: square}
    values = [each.float().contiguous() for each in inputs]
    count = len(values[0])
    kernel, ranks = make(dimensions)
    results = [torch.zeros(count, *(dimensions,) * (rank - 1)) for rank in ranks]
    launch(kernel, count, [Typed(each, types[each.ndim]) for each in (*values, *results)], CPU)
    return double(*results)


def polar_and_svd(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    place, square = vector(dimensions), matrix(dimensions, dimensions)
    rotation, singular = rotation_of(dimensions), singular_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        F: wp.array(dtype=square),  # type: ignore[valid-type]
        R: wp.array(dtype=square),  # type: ignore[valid-type]
        left: wp.array(dtype=square),  # type: ignore[valid-type]
        sizes: wp.array(dtype=place),  # type: ignore[valid-type]
        right: wp.array(dtype=square),  # type: ignore[valid-type]
    ):
        i = first + wp.tid()
        R[i] = rotation(F[i])
        U, s, V = singular(F[i])
        left[i] = U
        sizes[i] = s
        right[i] = V

    return kernel, (3, 3, 2, 3)


def awkward(dimensions: int) -> dict[str, Tensor]:
    """Deformations by what is awkward about them."""
    rest = near(dimensions, 50, 0.4)
    left, sizes, right = svd(near(dimensions, 50, 1.0, seed=1))
    flat, inverted = sizes.clone(), sizes.abs()
    flat[:, -1] = 0
    inverted[:, -1] *= -1
    eye = eyes(1, dimensions)
    mirrored = eye.clone()
    mirrored[:, 0, 0] = -1
    spread = torch.linspace(-0.5, 0.5, dimensions).exp().double()
    return {
        "strained": rest[rest.det() > 0.05],
        "inverted": left @ inverted.diag_embed() @ right,
        "flat": left @ flat.diag_embed() @ right,
        "turned": left @ right,
        "special": torch.cat([eye, 2 * eye, mirrored, 0.5 * mirrored, spread.diag_embed()[None], -1.5 * eye]),
        "none": 0 * eye,
    }


EXACT = {2: 2e-5, 3: 0.02}
"""To which share of the largest entry decompositions hold: Warp's in space is quick, and rough where F is inverted."""


@pytest.mark.parametrize("dimensions", [2, 3])
def test_singular_values_make_up_the_matrix_by_rotations(dimensions: int) -> None:
    for case, matrices in awkward(dimensions).items():
        R, U, s, V = answers(polar_and_svd, dimensions, matrices)
        for rotation in (R, U, V):
            assert float((rotation @ rotation.mT - torch.eye(dimensions)).abs().max()) < 1e-5, case
            assert float((rotation.det() - 1).abs().max()) < 1e-5, case
        assert float((U @ s.diag_embed() @ V.mT - matrices).abs().max()) < EXACT[dimensions], case
        expected = svd(matrices)[1].abs().sort(dim=1).values
        assert torch.allclose(s.abs().sort(dim=1).values, expected, atol=EXACT[dimensions]), case
        if case != "none":
            S = R.mT @ matrices
            assert float((S - S.mT).abs().max()) < EXACT[dimensions], case
            trace = S.diagonal(dim1=1, dim2=2).sum(dim=1)
            assert torch.allclose(trace, s.sum(dim=1), atol=2 * EXACT[dimensions]), "not the nearest rotation"


def test_the_polar_rotation_is_that_of_plain_torch() -> None:
    for dimensions in (2, 3):
        for case in ("strained", "turned"):
            matrices = awkward(dimensions)[case]
            left, _, right = svd(matrices)
            assert torch.allclose(answers(polar_and_svd, dimensions, matrices)[0], left @ right, atol=2e-5), case


def stresses(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    square, stress = matrix(dimensions, dimensions), stress_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        F: wp.array(dtype=square),  # type: ignore[valid-type]
        numbers: wp.array(dtype=wp.float32),
        inner: wp.array(dtype=wp.float32),
        mu: wp.array(dtype=wp.float32),
        bulk: wp.array(dtype=wp.float32),
        result: wp.array(dtype=square),  # type: ignore[valid-type]
    ):
        i = first + wp.tid()
        result[i] = stress(int(numbers[i]), F[i], inner[i], mu[i], bulk[i])

    return kernel, (3,)


def stress(kind: int, matrices: Tensor, inner: Tensor, material: Material) -> Tensor:
    first, second = material.lame
    numbers = [torch.full((len(matrices),), float(number)) for number in (kind, second, first)]
    return answers(stresses, matrices.shape[1], matrices, numbers[0], inner, *numbers[1:])[0]


def piolas(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    square, piola = matrix(dimensions, dimensions), piola_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        F: wp.array(dtype=square),  # type: ignore[valid-type]
        change: wp.array(dtype=square),  # type: ignore[valid-type]
        numbers: wp.array(dtype=wp.float32),  # mu, lambda, damping
        result: wp.array(dtype=square),  # type: ignore[valid-type]
    ):
        i = first + wp.tid()
        result[i] = piola(F[i], change[i], numbers[0], numbers[1], numbers[2])

    return kernel, (3,)


def elastic_stress(matrices: Tensor, material: Material, change: Tensor | None = None, damping: float = 0.0) -> Tensor:
    """Kirchhoff stress of what is elastic."""
    first, second = material.lame
    numbers = torch.zeros(len(matrices))
    numbers[:3] = torch.tensor([second, first, damping])
    change = torch.zeros_like(matrices) if change is None else change
    return answers(piolas, matrices.shape[1], matrices, change, numbers)[0] @ matrices.mT


@pytest.mark.parametrize("dimensions", [2, 3])
def test_elastic_stress_is_fixed_corotated_also_where_it_is_inverted(dimensions: int) -> None:
    soft, tolerance = PRESETS["soft"], 2e-5 if dimensions == 2 else 2e-3
    for case in ("strained", "inverted", "flat", "turned"):
        matrices = awkward(dimensions)[case]
        found, expected = elastic_stress(matrices, soft), corotated(matrices, soft)
        assert float((found - expected).abs().max()) < tolerance * max(float(expected.abs().max()), soft.E), case
    assert float(elastic_stress(awkward(dimensions)["turned"], soft).abs().max()) < 1e-3 * soft.E


@pytest.mark.parametrize("dimensions", [2, 3])
def test_strain_is_damped_and_turning_is_not(dimensions: int) -> None:
    soft = PRESETS["soft"]
    turned = awkward(dimensions)["turned"]
    spin = near(dimensions, len(turned), 1.0, seed=4)
    spin = spin - spin.mT
    assert float(elastic_stress(turned, soft, spin @ turned, 0.1).abs().max()) < 1e-3 * soft.E
    rate = near(dimensions, len(turned), 1.0, seed=5)
    rate = rate + rate.mT
    expected = 0.1 * soft.lame[1] * 2 * rate
    assert torch.allclose(elastic_stress(turned, soft, rate @ turned, 0.1), expected, atol=2e-3 * soft.E)


def test_elastic_stress_is_the_change_of_energy() -> None:
    soft = PRESETS["soft"]
    first, second = soft.lame
    matrices = awkward(3)["strained"].requires_grad_()
    sizes = torch.linalg.svdvals(matrices)
    energy = second * (sizes - 1).square().sum() + 0.5 * first * (sizes.prod(dim=1) - 1).square().sum()
    (gradient,) = torch.autograd.grad(energy, matrices)
    found = elastic_stress(matrices.detach(), soft)
    assert torch.allclose(found, (gradient @ matrices.mT).detach(), atol=2e-3)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_packed_snow_is_harder_and_liquid_only_pushes(dimensions: int) -> None:
    matrices, snow, liquid = near(dimensions, 40, 0.05), PRESETS["snow"], PRESETS["liquid"]
    plastic = torch.linspace(0.7, 1.3, 40).double()
    expected = hardness(plastic) * corotated(matrices, snow)
    assert torch.allclose(
        stress(kinds.SNOW, matrices, plastic, snow), expected, atol=1e-4 * float(expected.abs().max())
    )
    ratio = torch.linspace(0.5, 1.02, 40).double()
    pressed = (liquid.E * (ratio - 1) * ratio).clamp(max=0)[:, None, None] * torch.eye(dimensions).double()
    assert torch.allclose(stress(kinds.LIQUID, matrices, ratio, liquid), pressed, atol=1e-4 * liquid.E)
    for kind in (kinds.RIGID, kinds.PINNED, kinds.LOST):
        assert not bool(stress(kind, matrices, ratio, snow).any())


def snow_yields(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    square, snow = matrix(dimensions, dimensions), snow_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        F: wp.array(dtype=square),  # type: ignore[valid-type]
        plastic: wp.array(dtype=wp.float32),
        result: wp.array(dtype=square),  # type: ignore[valid-type]
        left: wp.array(dtype=wp.float32),
    ):
        i = first + wp.tid()
        F_elastic, volume = snow(F[i], plastic[i])
        result[i] = F_elastic
        left[i] = volume

    return kernel, (3, 1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_snow_yields_as_plain_torch_says(dimensions: int) -> None:
    matrices = torch.cat([near(dimensions, 40, 0.03), near(dimensions, 40, 0.003)])
    plastic = torch.linspace(0.8, 1.2, 80).double()
    found, left = answers(snow_yields, dimensions, matrices, plastic)
    expected, volume = yielded(matrices, plastic)
    assert torch.allclose(found, expected, atol=2e-5) and torch.allclose(left, volume, atol=1e-4)
    unchanged = (found - matrices).abs().amax(dim=(1, 2)) < 1e-5
    assert bool(unchanged.any()) and not bool(unchanged.all()), "some of it yields"
    assert torch.allclose(found.det() * left, matrices.det() * plastic, atol=2e-4), "volume goes from one to the other"


def sand_yields(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    square, sand, stress = matrix(dimensions, dimensions), sand_of(dimensions), stress_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        strain: wp.array(dtype=square),  # type: ignore[valid-type]
        moved: wp.array(dtype=square),  # type: ignore[valid-type]
        owed: wp.array(dtype=wp.float32),
        numbers: wp.array(dtype=wp.float32),  # mu, lambda, friction
        kept: wp.array(dtype=square),  # type: ignore[valid-type]
        left: wp.array(dtype=wp.float32),
        tau: wp.array(dtype=square),  # type: ignore[valid-type]
    ):
        i = first + wp.tid()
        after, owing = sand(strain[i], moved[i], owed[i], numbers[0], numbers[1], numbers[2])
        kept[i] = after
        left[i] = owing
        eye = wp.identity(n=dimensions, dtype=float)
        tau[i] = stress(2, eye + after, owing, numbers[0], numbers[1])

    return kernel, (3, 1, 3)


def sheared(strains: Tensor) -> tuple[Tensor, Tensor]:
    """The trace, and the size of what is left without it."""
    trace = strains.diagonal(dim1=1, dim2=2).sum(dim=1)
    rest = strains - trace[:, None, None] / strains.shape[1] * torch.eye(strains.shape[1]).double()
    return trace, rest.flatten(1).norm(dim=1)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("angle", [20.0, 45.0])
def test_sand_stays_in_its_cone(dimensions: int, angle: float) -> None:
    first, second = PRESETS["sand"].lame
    slope = math.sqrt(2) / dimensions * math.tan(math.radians(angle))
    random = torch.Generator().manual_seed(3)
    count = 400
    strain = 0.01 * torch.randn(count, dimensions, dimensions, generator=random).double()
    strain = 0.5 * (strain + strain.mT) - 0.01 * torch.eye(dimensions)
    moved = 3e-3 * torch.randn(count, dimensions, dimensions, generator=random).double()
    owed = 0.01 * torch.rand(count, generator=random).double() * (torch.arange(count) % 2)
    numbers = torch.zeros(count)
    numbers[:3] = torch.tensor([second, first, slope])
    kept, left, tau = answers(sand_yields, dimensions, strain, moved, owed, numbers)
    assert torch.allclose(tau, tau.mT, atol=1e-4) and bool((left >= 0).all())
    # In terms of stress: the mean pressure, and the shear that friction bears at it.
    trace, size = sheared(tau)
    assert float(trace.max()) <= 1e-4, "no tension"
    bulk = dimensions * first + 2 * second
    assert bool((size <= -slope * trace + 1e-4).all()), "within the cone"
    assert torch.linalg.eigvalsh(tau).max() <= 1e-4 or angle > 40, "below 1 / cos, no direction is pulled"
    # What was within the cone already and owes nothing is only strained and turned.
    spin = torch.linalg.matrix_exp(0.5 * (moved - moved.mT))
    trial = spin @ strain @ spin.mT + 0.5 * (moved + moved.mT)
    trial_trace, trial_size = sheared(trial)
    inside = (2 * second * trial_size < -0.99 * slope * bulk * trial_trace) & (owed == 0)
    assert 20 < int(inside.sum()) < count - 20
    assert torch.allclose(kept[inside], trial[inside], atol=1e-5) and not bool(left[inside].any())
    # What is pulled apart has no stress.
    apart = trial_trace > 1e-5
    assert int(apart.sum()) > 10 and float(tau[apart].abs().max()) < 1e-4 and bool((left[apart] > 0).all())
    # What yields keeps its directions.
    slid = ~inside & (trial_trace + owed < -1e-3) & (trial_size > 1e-3)
    before, after = (
        each - each.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] * torch.eye(dimensions).double()
        for each in (trial[slid], kept[slid])
    )
    cosine = (before * after).sum(dim=(1, 2)) / (before.flatten(1).norm(dim=1) * after.flatten(1).norm(dim=1))
    assert int(slid.sum()) > 20 and float(cosine.min()) > 0.999


def sand_damps(dimensions: int) -> tuple[wp.Kernel, tuple[int, ...]]:
    square, damped = matrix(dimensions, dimensions), damped_of(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def kernel(
        first: int,
        strain: wp.array(dtype=square),  # type: ignore[valid-type]
        rate: wp.array(dtype=square),  # type: ignore[valid-type]
        numbers: wp.array(dtype=wp.float32),  # mu, lambda, friction, seconds
        answered: wp.array(dtype=square),  # type: ignore[valid-type]
    ):
        i = first + wp.tid()
        answered[i] = damped(strain[i], rate[i], numbers[0], numbers[1], numbers[2], numbers[3])

    return kernel, (3,)


def test_damping_stays_in_the_cone_of_sand() -> None:
    first, second = PRESETS["sand"].lame
    slope = math.sqrt(0.5) * math.tan(math.radians(35))
    random = torch.Generator().manual_seed(4)
    strain, rate = (0.01 * torch.randn(400, 2, 2, generator=random).double() for _ in range(2))
    strain = 0.5 * (strain + strain.mT) - 0.01 * torch.eye(2)
    numbers = torch.zeros(400)
    numbers[:4] = torch.tensor([second, first, slope, 0.5])
    (answered,) = answers(sand_damps, 2, strain, rate, numbers)
    (trace, size), pulled = sheared(answered), sheared(strain)[0] >= 0
    most = -slope * (2 * first + 2 * second) / (2 * second) * trace
    assert int(pulled.sum()) > 5 and not bool(answered[pulled].any()), "sand without stress is not damped"
    assert bool((size <= most + 1e-6).all())
    expected = strain + 0.25 * (rate + rate.mT)
    expected_trace, expected_size = sheared(expected)
    inside = ~pulled & (expected_size < -0.99 * slope * (first + second) / second * expected_trace)
    assert 20 < int(inside.sum()) < 380
    assert torch.allclose(answered[inside], expected[inside], atol=1e-6)


def test_sand_that_was_pulled_apart_answers_only_when_it_is_back() -> None:
    first, second = PRESETS["sand"].lame
    eye = eyes(3, 2)
    numbers = torch.tensor([second, first, 0.4])
    kept, owed, tau = answers(sand_yields, 2, 0 * eye, 0.01 * eye, torch.zeros(3), numbers)
    assert not bool(tau.any()) and torch.allclose(owed, torch.full((3,), 0.02).double(), atol=1e-6)
    kept, owed, tau = answers(sand_yields, 2, kept, -0.008 * eye, owed, numbers)
    assert not bool(tau.any()) and torch.allclose(owed, torch.full((3,), 0.004).double(), atol=1e-6)
    kept, owed, tau = answers(sand_yields, 2, kept, -0.003 * eye, owed, numbers)
    assert bool((sheared(tau)[0] < 0).all()) and not bool(owed.any())
    assert torch.allclose(kept, -0.001 * eye, atol=1e-6)
