"""Panels of projects."""
