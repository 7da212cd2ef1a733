"""Small helper nodes."""
