"""What a Gaussian set is, and how a point reads it."""
