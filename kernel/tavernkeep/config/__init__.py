"""The operator's configuration: each section is an attrs class; the kernel's own are in `sections`, plugins add theirs."""

from tavernkeep.config.schema import config_schema
from tavernkeep.config.sections import (
    CORE_SECTIONS,
    AuthConfig,
    BackendAddress,
    BackendPanelConfig,
    ConfigError,
    ConfigSection,
    ExecutionConfig,
    FrontendAddress,
    LoggingConfig,
    PathsConfig,
    PluginsConfig,
    SecurityConfig,
    ServerConfig,
    StartError,
    StorageConfig,
    UserManagementConfig,
    check_section,
    clashes,
)
from tavernkeep.config.shown import Config
from tavernkeep.config.source import ENV_PREFIX, ConfigSource, write_config

__all__ = [
    "CORE_SECTIONS",
    "ENV_PREFIX",
    "AuthConfig",
    "BackendAddress",
    "BackendPanelConfig",
    "Config",
    "ConfigError",
    "ConfigSection",
    "ConfigSource",
    "ExecutionConfig",
    "FrontendAddress",
    "LoggingConfig",
    "PathsConfig",
    "PluginsConfig",
    "SecurityConfig",
    "ServerConfig",
    "StartError",
    "StorageConfig",
    "UserManagementConfig",
    "check_section",
    "clashes",
    "config_schema",
    "write_config",
]
