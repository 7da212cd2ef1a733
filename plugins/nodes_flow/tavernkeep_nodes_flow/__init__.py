"""Nodes that say what runs, how often, and when."""
