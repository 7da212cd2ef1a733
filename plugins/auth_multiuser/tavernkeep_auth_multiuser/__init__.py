"""Multi-user mode."""
