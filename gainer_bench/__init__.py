"""How good a fit is, in numbers and pictures."""
