"""A node that sends HTTP requests."""
