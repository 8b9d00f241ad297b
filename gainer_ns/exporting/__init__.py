"""Fitted pictures as files of other programs: meshes, points and splats."""
