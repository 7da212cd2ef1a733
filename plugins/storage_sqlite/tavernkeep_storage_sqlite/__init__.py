"""Keeps tavernkeep's data in SQLite."""
