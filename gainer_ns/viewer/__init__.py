"""The edit panel that nerfstudio's viewer shows beside a fitted picture or a lifted photo."""
