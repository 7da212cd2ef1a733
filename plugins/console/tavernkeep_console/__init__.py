"""The server's own page, and its status."""
