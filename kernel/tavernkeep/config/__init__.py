"""The operator's configuration: each section is an attrs class; the kernel's own are in `sections`, plugins add theirs."""

from tavernkeep.config.sections import ConfigError, ConfigSection, StartError, check_section, clashes
from tavernkeep.config.shown import Configuration
from tavernkeep.config.source import ConfigSource, write_config

__all__ = ["ConfigError", "ConfigSection", "ConfigSource", "Configuration", "StartError", "check_section", "clashes", "write_config"]
