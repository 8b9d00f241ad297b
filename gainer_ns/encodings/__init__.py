"""From a point to a feature: the hash grid, and the Gaussians that read it."""
