"""Rest maps: from where a sheet has gone back to where each point of it lay."""
