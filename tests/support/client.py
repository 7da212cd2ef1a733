"""WebSocket clients; `tavernkeep.testing` has them."""

from tavernkeep.testing import FINAL, Message, Viewer, is_final, of_node, output_of, statuses, text_of, types, viewer

__all__ = ["FINAL", "Message", "Viewer", "is_final", "of_node", "output_of", "statuses", "text_of", "types", "viewer"]
