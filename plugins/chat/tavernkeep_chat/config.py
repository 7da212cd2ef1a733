"""Its section of the configuration."""

import attrs


@attrs.frozen
class ChatConfig:
    """How chats are answered.

    Attributes:
        context_tokens: How much of a conversation a model is told at most, the newest of it; a token is taken for four bytes.
        answer_bytes: How long an answer may become.
    """

    context_tokens: int = attrs.field(default=32_768, validator=attrs.validators.ge(1))
    answer_bytes: int = attrs.field(default=4 * 1024 * 1024, validator=attrs.validators.ge(1))
