"""Services that a test runs beside the server; `tavernkeep.testing` has what serves them."""

from tavernkeep.testing import serving

__all__ = ["serving"]
