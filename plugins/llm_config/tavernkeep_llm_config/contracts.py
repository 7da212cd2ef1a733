"""What this plugin publishes: taking over channels and models that another installation had."""

from collections.abc import Mapping
from typing import Any, Protocol


class LlmImport(Protocol):
    """Takes over channels and models; their fields are those of the HTTP API."""

    async def take_over_channel(self, user_id: str, id_: str, channel: Mapping[str, Any]) -> bool:
        """Add a channel; `False` where there is one of that id already, which is left as it is.

        Raises:
            Invalid: It is no channel; the message names the field.
        """

    async def take_over_model(self, user_id: str, model: Mapping[str, Any]) -> bool:
        """Add a model; `False` where the user has it already.

        Raises:
            Invalid: It is no model; the message names the field.
        """
