"""Physics: bodies cut from a picture, engines that move them, and the way back to Gaussians."""
