"""What the tests across plugins share: a real server in a process of its own, a real WebSocket client, a local LLM service."""
