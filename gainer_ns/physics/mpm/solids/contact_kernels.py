"""The Warp kernel by which particles of solid bodies push each other."""

import functools

import warp as wp

from gainer_ns.gaussians.kernels import vector


@functools.cache
def pair_kernel(dimensions: int) -> wp.Kernel:
    """Make the kernel of how particles in contact change each other's velocities."""
    place = vector(dimensions)

    @wp.kernel(module="unique", enable_backward=False)
    def pairs(
        first: int,
        ids: wp.array(dtype=wp.int32),  # [c]
        starts: wp.array(dtype=wp.int32),  # [c + 1]
        others: wp.array(dtype=wp.int32),  # [e]
        distances: wp.array(dtype=wp.float32),  # [e], at which they touch
        positions: wp.array(dtype=place),  # [p]
        velocities: wp.array(dtype=place),  # [p]
        inverse_masses: wp.array(dtype=wp.float32),  # [p]
        relaxation: float,
        friction: float,
        push: float,
        dt: float,
        impulses: wp.array(dtype=place),  # in and out [p], changes of velocity
    ):
        c = first + wp.tid()
        i = ids[c]
        change = place()
        for entry in range(starts[c], starts[c + 1]):
            j = others[entry]
            between = positions[i] - positions[j]
            apart = wp.length(between)
            if apart > 0.0:
                normal = between / apart
                relative = velocities[i] - velocities[j]
                away = wp.dot(relative, normal)
                gap = apart - distances[entry]
                lost = wp.where(gap > 0.0, -gap / dt, -gap / push) - away
                if lost > 0.0:
                    along = relative - away * normal
                    speed = wp.length(along)
                    braked = wp.min(friction * lost, speed) / wp.max(speed, 1.0e-20)
                    mine = inverse_masses[i] / (inverse_masses[i] + inverse_masses[j])
                    change += (relaxation * mine) * (lost * normal - braked * along)
        impulses[i] = impulses[i] + change

    return pairs
