"""Single-user mode."""
