"""Nodes that compute."""
