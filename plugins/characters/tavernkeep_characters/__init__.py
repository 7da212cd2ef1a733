"""Character cards. What other plugins may use of this one is in `contracts`."""
