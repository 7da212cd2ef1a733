"""Secrets at rest. What other plugins may use of this one is in `contracts`."""
