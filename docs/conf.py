"""How the documentation is built; reference pages are made from the code at each build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from generate import write_reference

project = "tavernkeep"
author = "the tavernkeep authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "reference/generated/events.md"]  # that one is a part of the page about the protocol
html_theme = "furo"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"

write_reference(Path(__file__).parent / "reference" / "generated")
