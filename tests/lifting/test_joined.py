"""How rays choose among what several photos show."""

import torch
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.joined import (
    MAX_PHOTOS_PER_RAY,
    PhotoView,
    joined_outputs,
    nearest_views,
    views_from_tensors,
    views_to_tensors,
)


def view(x: float, sure: int = 255) -> PhotoView:
    pose = torch.eye(4)[:3].clone()
    pose[0, 3] = x
    return PhotoView(PinholeCamera.centred(8, 6, 8.0), pose, torch.full((6, 8), sure, dtype=torch.uint8))


def rays(count: int = 1) -> RayBundle:
    directions = torch.tensor([[0.0, 0, -1]]).expand(count, 3)
    return RayBundle(torch.zeros(count, 3), directions, pixel_area=torch.ones(count, 1))


def sight(shade: float, distance: float, alpha: float = 1.0):
    """What a photo sees along any ray: one shade at one distance."""

    def outputs(asked: RayBundle, numbers: Tensor) -> dict[str, Tensor]:
        assert len(numbers) == len(asked)
        column = torch.ones(len(asked), 1)
        distances = {name: distance * column for name in ("depth", "median_depth")}
        return {"rgb": (alpha * shade * column).expand(-1, 3), "accumulation": alpha * column, **distances}

    return outputs


def shade_of(views: list[PhotoView], sights: list, made_up: list | None = None) -> float:
    return float(joined_outputs(views, sights, made_up or sights, rays())["rgb"][0, 0])


def test_what_most_agree_on_hides_noise_before_it() -> None:
    views = [view(-0.2), view(0.1), view(0.2)]
    assert abs(shade_of(views, [sight(0.5, 2.0), sight(0.9, 1.2), sight(0.5, 2.02)]) - 0.5) < 0.01


def test_a_confirmed_depth_outvotes_one_that_is_not() -> None:
    assert shade_of([view(-0.1, 255), view(0.1, 0)], [sight(0.2, 2.0), sight(0.9, 1.5)]) < 0.21


def test_the_nearest_line_of_sight_weighs_most() -> None:
    shade = shade_of([view(0.01), view(0.4)], [sight(0.2, 2.0), sight(0.8, 2.0)])
    assert 0.2 < shade < 0.3


def test_what_is_made_up_shows_only_where_nothing_else_does() -> None:
    views = [view(-0.1), view(0.1)]
    nothing, made_up = sight(0.0, 0.0, alpha=0.0), [sight(0.9, 1.0), sight(0.7, 2.0)]
    assert abs(shade_of(views, [sight(0.3, 2.0), nothing], made_up) - 0.3) < 1e-6
    assert shade_of(views, [nothing, nothing], made_up) > 0.69
    half = shade_of(views, [sight(0.3, 2.0, alpha=0.5), nothing], [sight(0.7, 2.0), sight(0.7, 2.0)])
    assert abs(half - (0.5 * 0.3 + 0.5 * 0.7)) < 1e-6


def test_rays_look_at_the_nearest_photos_that_look_their_way() -> None:
    views = [view(float(x)) for x in range(MAX_PHOTOS_PER_RAY + 2)]
    turned = torch.diag(torch.tensor([-1.0, 1, -1]))
    views[0] = PhotoView(views[0].camera, torch.cat([turned, torch.zeros(3, 1)], dim=1), views[0].confidence)
    assert sorted(nearest_views(views, rays())[0].tolist()) == list(range(1, MAX_PHOTOS_PER_RAY + 1))


def test_photos_are_kept() -> None:
    views = [view(0.5, 7), view(-1.0, 200)]
    again = views_from_tensors(*views_to_tensors(views))
    for one, other in zip(again, views, strict=True):
        assert one.camera == other.camera and torch.equal(one.confidence, other.confidence)
        torch.testing.assert_close(one.pose, other.pose)
