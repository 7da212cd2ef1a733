"""Workflows in the forms in which people have them: the two of this program, and those of others, which are known by name."""
