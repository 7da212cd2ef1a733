"""Executions, recorded."""
