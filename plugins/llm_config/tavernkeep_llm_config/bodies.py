"""What the routes take and give."""

from typing import Final, Literal

import attrs

_SHORT: Final = attrs.validators.optional(attrs.validators.max_len(200))


@attrs.frozen
class Provider:
    """A kind of service for which an adapter is installed."""

    id: str
    name: str


@attrs.frozen
class ChannelShown:
    """A channel; of its key only a hint, of its headers only the names."""

    id: str
    user_id: str
    label: str
    base_url: str
    api_key: str
    disabled: bool
    created_at: str
    custom_headers: dict[str, str]
    supported_models: list[str]
    storage_mode: str
    provider_id: str | None = None
    adapter_type: str | None = None
    model_list_endpoint: str | None = None


@attrs.frozen
class ModelShown:
    """A model of a user's."""

    model_id: str
    display_name: str
    user_id: str
    created_at: str
    capabilities: list[str]
    model_type: str
    group_name: str | None = None
    icon: str | None = None
    default_channel_id: str | None = None
    tags: list[str] | None = None
    tokenizer_id: str | None = None


@attrs.frozen
class Deleted:
    """A channel that is gone."""

    success: bool
    id: str


@attrs.frozen
class DeletedModel:
    """A model that is gone."""

    success: bool
    model_id: str


@attrs.frozen
class ChannelBody:
    """A channel.

    Attributes:
        provider_id: What people call the service; the adapter too, where `adapter_type` says nothing and there is one of that name.
        adapter_type: The adapter that speaks the service's protocol; of an unknown one that is OpenAI's.
        api_key: The key; in a change, its hint or nothing keeps the stored one.
        supported_models: The models that it may be asked for; all when empty.
        model_list_endpoint: Where the service tells its models, where that is another place than is usual: an address, or a path below
            the base URL.
    """

    label: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(200)])
    base_url: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(2000)])
    api_key: str | None = attrs.field(default=None, repr=False)
    provider_id: str | None = attrs.field(default=None, validator=_SHORT)
    adapter_type: str | None = attrs.field(default=None, validator=_SHORT)
    supported_models: list[str] = attrs.field(factory=list)
    storage_mode: Literal["plaintext", "encrypted"] = "encrypted"
    custom_headers: dict[str, str] = attrs.field(factory=dict, repr=False)
    model_list_endpoint: str | None = attrs.field(default=None, validator=attrs.validators.optional(attrs.validators.max_len(2000)))
    disabled: bool = False


@attrs.frozen
class ModelBody:
    """A model.

    Attributes:
        default_channel_id: The channel that is asked for it first.
    """

    model_id: str = attrs.field(validator=[attrs.validators.min_len(1), attrs.validators.max_len(300)])
    display_name: str
    capabilities: list[str] = attrs.field(factory=list)
    model_type: Literal["llm", "embedding", "unknown"] = "llm"
    group_name: str | None = None
    icon: str | None = None
    default_channel_id: str | None = None
    tags: list[str] | None = None
    tokenizer_id: str | None = None
