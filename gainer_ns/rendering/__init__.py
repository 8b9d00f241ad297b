"""From Gaussian sets to pictures."""
