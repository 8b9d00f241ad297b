"""Files: pictures, films, colours, tables and YAML. Nothing here knows what a Gaussian is."""
