"""The name under which tests of plugins find what the plugin `devkit` has for them: `pytest_plugins = ["tavernkeep.testing"]`."""

from tavernkeep_devkit.testing import *  # noqa: F403
from tavernkeep_devkit.testing import __all__ as __all__
