"""What this plugin publishes: JavaScript's regular expressions."""

from tavernkeep_nodes_processors.javascript import PatternError, RegexEngine, TooMuch

__all__ = ["PatternError", "RegexEngine", "TooMuch"]
