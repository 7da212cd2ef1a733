"""The HTTP and WebSocket surface: declared routes become a Quart application, `/ws` a bare ASGI endpoint beside it."""
