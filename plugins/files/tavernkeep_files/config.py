"""Its section of the configuration."""

from typing import Final

import attrs

_MIB: Final = 1024 * 1024


@attrs.frozen
class FilesConfig:
    """Files.

    Attributes:
        max_upload_bytes: The longest file that is received.
        max_read_bytes: The longest file that is read as text or JSON.
    """

    max_upload_bytes: int = attrs.field(default=4096 * _MIB, validator=attrs.validators.ge(1))
    max_read_bytes: int = attrs.field(default=64 * _MIB, validator=attrs.validators.ge(1))
