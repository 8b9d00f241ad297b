"""Editing a fitted picture: what is selected, how it moves, and what it is laid over."""
