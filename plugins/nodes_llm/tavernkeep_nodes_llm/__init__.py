"""Nodes that talk to language models. What other plugins may use of this one is in `contracts` and `hookspecs`."""
