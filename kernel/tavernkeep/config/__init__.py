"""The operator's configuration: each section is an attrs class; the kernel's own are in `sections`, plugins add theirs."""

from tavernkeep.config.sections import ConfigError, ConfigSection, StartError, check_section, clashes
from tavernkeep.config.shown import Config
from tavernkeep.config.source import ConfigSource, write_config

__all__ = ["Config", "ConfigError", "ConfigSection", "ConfigSource", "StartError", "check_section", "clashes", "write_config"]
