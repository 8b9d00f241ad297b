"""Simulations that other programs make, and the folders by which they are exchanged."""
