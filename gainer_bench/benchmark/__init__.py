"""Sets of pictures, methods and seeds, fitted side by side, and the report of how they compare."""
