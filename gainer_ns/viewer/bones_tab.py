"""The tab that moves the material by bones: drawn by dragging out of joints, posed by dragging their ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import viser

from gainer_ns.editing.rig import PosedBones, Rig, RigKeyframe
from gainer_ns.editing.rig_files import check_bones
from gainer_ns.errors import GainerError
from gainer_ns.viewer.context import PanelContext, show_value
from gainer_ns.viewer.edit_chooser import EditChooser
from gainer_ns.viewer.keyframes import saying, with_key, without_key
from gainer_ns.viewer.subject import PixelPoint
from gainer_ns.viewer.view_space import OVERLAY_LIFT, clicked_point, pixel_at, point_on_page, put, to_page

NODE, HANDLE_SIZE = "/gainer/bones", 0.6
BONE_COLOUR, ROOT_COLOUR, BONE_WIDTH_PX, ROOT_SIZE = (255, 140, 0), (0, 110, 255), 4.0, 0.12
NO_BONE = "none"
TURNS, REACHES = "turns its bone", "reaches there"
"""What a joint does that is dragged: the bone that ends there points at the hand, or it and the one before it bend."""
NEAR_SHARE = 0.04
"""How near to a joint a bone begins that is drawn out of it, as a share of the picture's longer side."""
LEAST_BONE_PX = 2.0
POSED = ("pose", "scale", "ik", "depth")
"""The words of a rig that its keyframes have."""


class BonesTab:
    """The tab, built where the page is just being built; all it shows is what the chosen edit says.

    Args:
        chooser: Whose bones these are, where it has any; else the first bone begins an edit.
    """

    def __init__(self, context: PanelContext, chooser: EditChooser) -> None:
        self._context, self._chooser = context, chooser
        self._root: PixelPoint | None = None
        self._is_drawing = False
        self._held: str | None = None
        self._handles: dict[str, viser.TransformControlsHandle] = {}
        self._lines: list[viser.SceneNodeHandle] = []
        gui, by_hand = context.server.gui, context.by_hand
        actions = {"root": self.point, "draw": self.draw, "pose": self.rest, "remove": self.remove}
        context.buttons(
            "Bones",
            {name: lambda _, action=action: action() for name, action in actions.items()},
            hint="Click where a first bone starts, drag bones out of joints, and then pose them",
        )
        self._list = gui.add_dropdown("Bone", tuple([NO_BONE]), hint="Whose turn, growth and depth these are")
        self._list.on_update(by_hand(lambda: self.show()))
        self._hand = gui.add_dropdown("A joint", (TURNS, REACHES), hint="That is dragged: one bone or two follow it")
        self._turn = gui.add_slider("Bone turn, deg", -180.0, 180.0, 1.0, 0.0)
        self._turn.on_update(by_hand(lambda: self.change("pose", float(self._turn.value))))
        self._grow = gui.add_slider("Bone growth", 0.2, 3.0, 0.05, 1.0)
        self._grow.on_update(by_hand(lambda: self.change("scale", float(self._grow.value))))
        self._depth = gui.add_slider("Bone depth", -5.0, 5.0, 0.5, 0.0, hint="The larger, the nearer, over itself")
        self._depth.on_update(by_hand(lambda: self.change("depth", float(self._depth.value))))
        keys = {"set": lambda _: self.set_keyframe(), "remove": lambda _: self.remove_keyframe()}
        context.buttons("Pose keyframe", keys, hint="Of all bones, at the time of the tab Film")
        chooser.listeners.append(self.show)
        self.show()

    @property
    def rig(self) -> Rig | None:
        """The bones of the chosen edit; None where it has none, or they come from files."""
        found = getattr(self._chooser.edit, "rig", None)
        return found if found is not None and found.file is None and found.clip is None else None

    def point(self) -> None:
        """Let a click say where a first bone starts."""
        self._to_draw()
        self._context.server.scene.on_pointer_event("click")(
            self._context.by_user(lambda event: self.place_root(clicked_point(event, self._context.subject)))
        )
        self._context.say("Click where the first bone starts.")

    def place_root(self, point: PixelPoint) -> None:
        """Start a chain of bones at a place, and let bones be drawn."""
        self._root = round(point[0], 2), round(point[1], 2)
        self.draw()

    def draw(self) -> None:
        """Let drags draw bones out of joints."""
        if self.rig is None and self._root is None:
            self.point()
            return
        self._to_draw()
        self._context.server.scene.on_pointer_event("rect-select")(self._context.by_user(self._drawn))
        self._context.say("Drag out of a joint to where its bone ends; then pose.")

    def rest(self) -> None:
        """Let drags draw nothing, so that joints can be taken hold of."""
        self._is_drawing, self._root = False, None
        self._context.server.scene.remove_pointer_callback()
        self._context.session.show_unedited(False)
        self.show()
        self._context.say("Drag the joints.")

    def draw_bone(self, corners: Sequence[PixelPoint]) -> None:
        """Draw a bone across a box that was dragged out of a joint.

        Args:
            corners: Of the box, one after the other round it: pages tell of drags no more than that. The one that
                is nearest to a joint is where the drag began.
        """
        rig = self.rig
        joints: dict[str, PixelPoint] = {} if rig is None else dict(rig.joints)
        if self._root is not None:
            joints[_unused("joint", joints)] = self._root
        away, corner, start = min(
            (math.dist(corner, at), number, name)
            for number, corner in enumerate(corners)
            for name, at in joints.items()
        )
        picker = self._context.picker
        if away > NEAR_SHARE * max(picker.width, picker.height):
            raise GainerError("no joint is there; drag bones out of a joint, or press root, and click")
        end = tuple(round(value, 2) for value in corners[(corner + 2) % 4])
        if math.dist(end, joints[start]) < LEAST_BONE_PX:
            raise GainerError("the bone is too short; drag it out farther")
        joints[name := _unused("joint", joints)] = end[0], end[1]
        bones = {} if rig is None else dict(rig.bones)
        bones[bone := _unused("bone", bones)] = start, name
        joints = {joint: joints[joint] for pair in bones.values() for joint in pair}
        if self._root is not None and self._root == joints[start]:
            self._root = None
        if rig is None:
            self._chooser.begin({"rig": Rig(joints=joints, bones=bones)})
        else:
            self._write(saying(rig, joints=joints, bones=bones))
        self.show()
        self._list.value = bone
        self.show()
        self._context.say(_counted(bones))

    def remove(self) -> None:
        """Take the chosen bone away, and all that it carries; with the last one the edit."""
        rig, gone = self._need(), {self._chosen()}
        names, parents = check_bones(rig.joints, rig.bones, rig.parents)
        for name in names:
            gone |= {name} if parents[name] in gone else set()
        bones = {name: ends for name, ends in rig.bones.items() if name not in gone}
        if not bones:
            raise GainerError("the last bone is the edit; take that back with undo, in the tab Move")
        joints = {joint: rig.joints[joint] for pair in bones.values() for joint in pair}

        def left(frame: Rig | RigKeyframe) -> dict[str, Any]:
            return {
                word: {name: value for name, value in getattr(frame, word).items() if name in (*bones, *joints)}
                for word in POSED
            }

        keyframes = rig.keyframes and tuple(RigKeyframe(time=one.time, **left(one)) for one in rig.keyframes)
        carried = {bone: parent for bone, parent in rig.parents.items() if bone in bones and parent in bones}
        self._write(Rig(joints=joints, bones=bones, parents=carried, keyframes=keyframes, **left(rig)))
        self._context.say(_counted(bones))

    def change(self, word: str, value: float) -> None:
        """Change what the chosen bone says."""
        bone = self._chosen()
        self._put((word, bone), **{word: {**getattr(self._now(), word), bone: value}})

    def drag(self, joint: str, to: PixelPoint) -> None:
        """Take a joint to a place: its bone turns towards it, or two bones bend so that it gets there."""
        now, bones = self._now(), self._bones()
        self._held = joint
        number = next(i for i, bone in enumerate(bones.skeleton.bones) if bone.end == joint)
        said: dict[str, Any]
        if self._hand.value == REACHES:
            said = {"ik": {**now.ik, joint: (round(to[0], 2), round(to[1], 2))}}
        else:
            posed, angles = bones.posed(), bones.angles()
            start = posed.starts[number]
            turned = (complex(*to) - start) * (bones.skeleton.at(joint, posed) - start).conjugate()
            angles[number] += math.atan2(turned.imag, turned.real)
            pose = {name: round(-math.degrees(angle), 2) for name, angle in zip(bones.names, angles, strict=True)}
            said = {"pose": {name: turn for name, turn in pose.items() if turn or name in now.pose}}
            if joint in now.ik:
                said["ik"] = {name: at for name, at in now.ik.items() if name != joint}
        try:
            show_value(self._list, bones.names[number])
            self._put(("drag", joint), **said)
        finally:
            self._held = None

    def set_keyframe(self) -> None:
        """Keep, at the time that is shown, how the bones are posed."""
        rig, now = self._need(), self._now()
        self._write(saying(rig, keyframes=self._keyed(rig, {word: getattr(now, word) for word in POSED})))
        self._context.say(f"The pose is keyed at {self._context.session.time:g}.")

    def remove_keyframe(self) -> None:
        """Forget how the bones are posed at the time that is shown."""
        rig, time = self._need(), self._context.session.time
        kept = without_key(rig.keyframes, time)
        if len(kept) == len(rig.keyframes or ()):
            raise GainerError(f"the bones have no keyframe at {time:g}")
        self._write(saying(rig, keyframes=kept or None))
        self._context.say(f"The pose is not keyed at {time:g}.")

    def show(self) -> None:
        """Show the bones of the chosen edit, and what the chosen one says."""
        rig = self.rig
        names = tuple([NO_BONE]) if rig is None else tuple(rig.bones)
        if names != self._list.options:
            self._list.options = names
        ends = [] if rig is None else [end for _, end in rig.bones.values()]
        for joint in [joint for joint in self._handles if joint not in ends]:
            self._handles.pop(joint).remove()
        for joint in ends:
            if joint not in self._handles:
                self._handles[joint] = self._handle(joint)
        if rig is not None:
            now, bone = self._now(), self._chosen()
            show_value(self._turn, now.pose.get(bone, 0.0))
            show_value(self._grow, now.scale.get(bone, 1.0))
            show_value(self._depth, now.depth.get(bone, 0.0))
        self._place()

    def _to_draw(self) -> None:
        self._is_drawing = True
        self._context.session.show_unedited(True)
        self.show()

    def _need(self) -> Rig:
        if self.rig is None:
            raise GainerError("there are no bones of this page in this edit; press root, and click on the picture")
        return self.rig

    def _chosen(self) -> str:
        bones = self._need().bones
        return self._list.value if self._list.value in bones else next(reversed(bones))

    def _now(self) -> Rig:
        return self._need().at_time(self._context.session.time, self._chooser.chosen().easing)

    def _bones(self) -> PosedBones:
        picker = self._context.picker
        return PosedBones(self._now(), (0.0, 0.0, float(picker.width), float(picker.height)))

    def _put(self, together: Any, **changes: Any) -> None:
        """Change how the bones are posed: where they have keyframes, at the time that is shown."""
        rig = self._need()
        if rig.keyframes is not None:
            now = self._now()
            changes = {"keyframes": self._keyed(rig, {**{word: getattr(now, word) for word in POSED}, **changes})}
        self._write(saying(rig, **changes), together)

    def _keyed(self, rig: Rig, pose: dict[str, Any]) -> tuple[RigKeyframe, ...]:
        """Return the keyframes with one more, at the time that is shown."""
        return with_key(rig.keyframes, RigKeyframe(time=round(self._context.session.time, 4), **pose))

    def _write(self, rig: Rig, together: Any = None) -> None:
        self._chooser.revise(together, rig=rig)

    def _drawn(self, event: viser.ScenePointerEvent) -> None:
        (left, top), (right, bottom) = event.screen_pos
        corners = ((left, top), (right, top), (right, bottom), (left, bottom))
        points = [point_on_page(event.client.camera, self._context.subject, *corner) for corner in corners]
        self.draw_bone([point for point in points if point is not None])

    def _handle(self, joint: str) -> viser.TransformControlsHandle:
        dragged = partial(self._dragged, joint)
        return self._context.handle(f"{NODE}/{joint}", HANDLE_SIZE, dragged, disable_rotations=True)

    def _dragged(self, joint: str) -> None:
        self.drag(joint, pixel_at(self._handles[joint], self._context.subject))

    def _place(self) -> None:
        """Draw the bones, and put the handles of joints but one that is being dragged, where they are now."""
        scene = self._context.server.scene
        for line in self._lines:
            line.remove()
        self._lines = []
        if self._root is not None:
            point = self._on_page([complex(*self._root)])
            self._lines = [scene.add_point_cloud(f"{NODE}/root", point, ROOT_COLOUR, point_size=ROOT_SIZE)]
        if self.rig is None:
            return
        bones = self._bones()
        skeleton, posed = bones.skeleton, bones.posed()
        joints = {name: at if self._is_drawing else skeleton.at(name, posed) for name, at in skeleton.joints.items()}
        for name, bone in zip(bones.names, skeleton.bones, strict=True):
            ends = self._on_page([joints[bone.start], joints[bone.end]])
            line = scene.add_spline_catmull_rom(f"{NODE}/{name}", ends, color=BONE_COLOUR, line_width=BONE_WIDTH_PX)
            self._lines.append(line)
        for joint, handle in self._handles.items():
            handle.visible = not self._is_drawing
            if joint != self._held and joint in joints:
                put(handle, self._on_page([joints[joint]], lift=0.0)[0])

    def _on_page(self, points: Sequence[complex], lift: float = OVERLAY_LIFT) -> np.ndarray:
        places = torch.tensor([(point.real, point.imag) for point in points], dtype=torch.float64)
        return to_page(self._context.subject.in_world(places), lift=lift)


def _counted(bones: dict[str, Any]) -> str:
    return "1 bone." if len(bones) == 1 else f"{len(bones)} bones."


def _unused(word: str, names: Any) -> str:
    """Return a name with a number that nothing has."""
    return next(name for name in (f"{word} {number}" for number in range(1, len(names) + 2)) if name not in names)
