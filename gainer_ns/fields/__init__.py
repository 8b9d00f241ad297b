"""From a feature to colour and density."""
