"""For authors of plugins: `tavernkeep new-node-pack`, and the fixtures of `tavernkeep.testing`."""
