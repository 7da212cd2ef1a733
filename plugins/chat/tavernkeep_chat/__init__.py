"""Chats: trees of messages."""
