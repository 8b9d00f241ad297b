"""Fit pictures: recipes, Adam and Gauss-Newton steps, and the loops that run them."""
