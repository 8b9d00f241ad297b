"""GaINeR for nerfstudio: a picture as Gaussians on a plane that a person can move."""
