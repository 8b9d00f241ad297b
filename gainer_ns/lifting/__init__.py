"""The 3D method: one photo's mask and depth, and the Gaussians that they lift into space."""
