"""Store baked pictures as files."""
