"""Nodes that make texts and take them apart."""
