"""aerich, without numpy.

dictdiffer, which aerich compares tables with, imports numpy wherever it is installed, only to know its arrays when it sees some. A server
would pay for that with 11 MiB and a sixth of a second of its start, and no migration has arrays.
"""

import sys

_hidden = "numpy" not in sys.modules
if _hidden:
    sys.modules["numpy"] = None  # type: ignore[assignment]  # the documented way to make an import fail
try:
    from aerich import Command
    from aerich.migrate import Migrate
finally:
    if _hidden:
        del sys.modules["numpy"]

__all__ = ["Command", "Migrate"]
