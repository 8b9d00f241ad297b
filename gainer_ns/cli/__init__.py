"""The `gainer` command: arguments in, calls out."""
