"""Servers in processes of their own; `tavernkeep.testing` has them."""

from tavernkeep.testing import BIN, PATIENCE_S, Finished, Server, environment, serve, tavernkeep

__all__ = ["BIN", "PATIENCE_S", "Finished", "Server", "environment", "serve", "tavernkeep"]
