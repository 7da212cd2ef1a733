"""LLM channels and models of each user."""
