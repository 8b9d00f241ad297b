"""Elastic bodies, each on a grid of its own that was laid over it at rest."""
