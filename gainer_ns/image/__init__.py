"""The 2D method: image files, dataparser, datamanager and model."""
