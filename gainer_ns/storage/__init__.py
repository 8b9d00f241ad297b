"""Baked pictures as files."""
