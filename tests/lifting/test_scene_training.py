"""From several posed photos, through nerfstudio's own programs, to views that are held out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.scripts.eval import ComputePSNR
from nerfstudio.utils.eval_utils import eval_setup
from PIL import Image

from gainer_ns.errors import GainerError
from gainer_ns.frames import PinholeCamera
from gainer_ns.lifting.datamanager import LiftDataManagerConfig
from gainer_ns.lifting.loading import load_lifted

PLACES = (-0.16, 0.0, 0.07, 0.16)
HELD_OUT = 2


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    said = json.loads((folder / "transforms.json").read_text())
    edit(said)
    (folder / "transforms.json").write_text(json.dumps(said))


def split(said: dict[str, Any]) -> None:
    names = [frame["file_path"] for frame in said["frames"]]
    held_out = [names.pop(HELD_OUT)]
    said |= {"train_filenames": names, "val_filenames": held_out, "test_filenames": held_out}


@pytest.fixture(scope="module")
def run(fit: Callable[..., Path], draw_room: Any, tmp_path_factory: Any, camera: PinholeCamera) -> Path:
    """The config.yml of a run on three photos of a room, of which one between them is held out."""
    folder = draw_room(tmp_path_factory.mktemp("scene") / "room", camera, PLACES)
    change(folder, split)
    return fit(folder, folder.parent / "runs", "gainer-lift")


def test_a_photo_that_is_held_out_is_shown(run: Path, tmp_path: Path) -> None:
    ComputePSNR(run, tmp_path / "output.json").main()
    results = json.loads((tmp_path / "output.json").read_text())["results"]
    assert results["psnr"] > 27


def test_photos_stand_where_their_poses_say(run: Path) -> None:
    pipeline = eval_setup(run, test_mode="inference")[1]
    train = pipeline.datamanager.train_dataset
    assert train is not None and len(train) == 3
    scene, cameras = load_lifted(run), train.cameras.camera_to_worlds
    torch.testing.assert_close(cameras[1], torch.eye(4)[:3] + torch.tensor([[0.0] * 4, [0] * 4, [0, 0, 0, 1]]))
    apart = (cameras[2, :, 3] - cameras[0, :, 3]).norm() * scene.unit
    assert float(apart) == pytest.approx(0.32 * 1.01**0.5, rel=1e-3)
    torch.testing.assert_close(torch.stack([view.pose for view in scene.views]), cameras)


def test_what_is_loaded_is_what_was_fitted(run: Path) -> None:
    model: Any = eval_setup(run, test_mode="inference")[1].model
    one, other = (scene.raster()[0] for scene in (load_lifted(run), model.fitted()))
    torch.testing.assert_close(one, other)
    photo = np.asarray(Image.open(run.parents[3].parent / "room" / "1.png")) / 255
    assert -10 * np.log10(np.square(one.numpy() - photo).mean()) > 27


def test_held_out_photos_are_compared_with_meshes(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from gainer_bench.held_out import HeldOut

    HeldOut((run,), output=tmp_path).run()
    rows = [
        [cell.strip() for cell in line.split("|")] for line in capsys.readouterr().out.splitlines() if "mean" in line
    ]
    quality = {row[2]: float(row[3]) for row in rows}
    assert len(quality) == 3 and quality["gainer-lift"] > 27
    assert all(20 < one < quality["gainer-lift"] + 3 for one in quality.values())
    assert (tmp_path / "room_2.png").is_file()


def no_pose(folder: Path) -> None:
    change(folder, lambda said: said["frames"][1].pop("transform_matrix"))


def endless_pose(folder: Path) -> None:
    change(folder, lambda said: said["frames"][1]["transform_matrix"][0].__setitem__(3, float("nan")))


def no_depth_of_one(folder: Path) -> None:
    change(folder, lambda said: said["frames"][1].pop("depth_file_path"))


def depth_of_another_size(folder: Path) -> None:
    np.save(folder / "1.npy", np.ones((12, 16), np.float32))


def depth_in_other_units(folder: Path) -> None:
    for path in folder.glob("*.npy"):
        np.save(path, np.load(path) * 20)


def pose_of_another_photo(folder: Path) -> None:
    change(folder, lambda said: said["frames"][1]["transform_matrix"][2].__setitem__(3, 1.2))


def photo_of_another_size(folder: Path) -> None:
    Image.new("RGB", (30, 36)).save(folder / "1.png")


def missing_photo(folder: Path) -> None:
    (folder / "1.png").unlink()


FAULTS = {
    no_pose: "1.png has no pose",
    endless_pose: "1.png holds numbers that are not finite",
    no_depth_of_one: "1.png has no depth_file_path",
    depth_of_another_size: "1.npy: is 16x12",
    depth_in_other_units: "times as large",
    pose_of_another_photo: "lies elsewhere",
    photo_of_another_size: "1.png: is 30x36",
    missing_photo: "1.png: does not exist",
}


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_faults_are_told_in_one_line(
    fault: Callable[[Path], None], draw_room: Any, camera: PinholeCamera, tmp_path: Path
) -> None:
    folder = draw_room(tmp_path / "room", camera, PLACES[:2])
    fault(folder)
    with pytest.raises(GainerError) as caught:
        LiftDataManagerConfig(data=folder).check()
    assert FAULTS[fault] in str(caught.value) and "\n" not in str(caught.value)
