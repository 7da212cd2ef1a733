"""The channels and models of each user; `GenericLlmRequest` finds its channel here."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from tortoise.exceptions import IntegrityError

from tavernkeep import ApiError, UserContext
from tavernkeep.contracts.storage import Storage
from tavernkeep.wire import Invalid, Problem, dumps, iso, loads, structure, unstructure
from tavernkeep_guard.contracts import Headers
from tavernkeep_llm_config.bodies import ChannelBody, ModelBody
from tavernkeep_llm_config.models import ChannelRow, ModelRow
from tavernkeep_nodes_llm.contracts import Channel, Llm
from tavernkeep_secrets.contracts import Secrets

HIDDEN: Final = "…"  # what is shown of a header's value
_USUAL: Final = "openai"  # the adapter of services that say no other
_HINT: Final = 4  # characters shown of each end of a key


def hint_of(key: str) -> str:
    """What is shown of a key: enough to know it again, too little to use it."""
    if not key:
        return ""
    return f"{key[:_HINT]}{HIDDEN}{key[-_HINT:]}" if len(key) > 3 * _HINT else HIDDEN


def _checked(body: ChannelBody) -> ChannelBody:
    """A channel whose key and headers can be sent: trimmed of what copying brings along.

    Raises:
        Invalid: One of them cannot; the message does not repeat it.
    """
    place = "apiKey"
    try:
        key = body.api_key
        if key is not None and HIDDEN not in key:  # a hint is no key; whether it is this one's is for the store to see
            key = _bare(key)
        place, headers = "customHeaders", {}
        for name, value in body.custom_headers.items():
            headers[Headers.further(name)] = value if value == HIDDEN else Headers.value(value)
        place = "baseUrl"
        return attrs.evolve(body, base_url=body.base_url.strip(), api_key=key, custom_headers=headers)
    except ValueError as error:
        raise Invalid([Problem(place, str(error))]) from None


def _bare(key: str) -> str:
    """A key as it can be sent, without the `Bearer` that stands before it in a header and in many examples."""
    value = Headers.value(key)
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" and rest.strip() else value


def _no_hint(key: str) -> str:
    try:
        return _bare(key)
    except ValueError as error:
        raise Invalid([Problem("apiKey", str(error))]) from None


@attrs.frozen
class LlmStore:
    """Channels and models in the database; also a `ChannelSource`."""

    storage: Storage
    secrets: Secrets
    llm: Llm

    # Channels

    async def channels_of(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's channels, the oldest first."""
        return [self._shown(row) for row in await ChannelRow.filter(user_id=user.uid)]

    async def channel(self, id_: str, user: UserContext) -> dict[str, Any]:
        """A channel. Raises `ApiError` 404."""
        return self._shown(await self._row(id_, user))

    async def _row(self, id_: str, user: UserContext) -> ChannelRow:
        row = await ChannelRow.filter(id=id_, user_id=user.uid).select_for_update().first()
        if row is None:
            raise ApiError(404, "There is no such channel.")
        return row

    async def create(self, body: ChannelBody, user: UserContext) -> dict[str, Any]:
        """Add a channel."""
        return self._shown(await self._create(str(uuid.uuid4()), body, user.uid))

    async def _create(self, id_: str, body: ChannelBody, user_id: str) -> ChannelRow:
        body = _checked(body)
        key = _no_hint(body.api_key or "")
        return await ChannelRow.create(
            id=id_,
            user_id=user_id,
            **self._columns(body),
            sealed_key=self.secrets.seal(key),
            sealed_headers=self._sealed(body.custom_headers, {}),
            key_hint=hint_of(key),
        )

    async def take_over_channel(self, user_id: str, id_: str, channel: Mapping[str, Any]) -> bool:
        """See `LlmImport`."""
        body = structure(without_nulls(channel), ChannelBody)
        if await ChannelRow.exists(id=id_):
            return False
        await self._create(id_, body, user_id)
        return True

    async def take_over_model(self, user_id: str, model: Mapping[str, Any]) -> bool:
        """See `LlmImport`."""
        content = unstructure(structure(without_nulls(model), ModelBody))
        _, made = await self.storage.ensure(ModelRow, {"user_id": user_id, "model_id": content["modelId"]}, {"content": content})
        return made

    async def update(self, id_: str, changes: Mapping[str, Any], user: UserContext) -> dict[str, Any]:
        """Change those fields of a channel that are given. Raises `ApiError` 404, `Invalid`."""
        async with self.storage.transaction():
            row = await self._row(id_, user)
            body = _checked(structure(without_nulls({**self._shown(row), **changes}), ChannelBody))
            columns = self._columns(body) | {"sealed_headers": self._sealed(body.custom_headers, self._headers(row))}
            if body.api_key not in ("", row.key_hint):  # of one that is unset, that is nothing
                key = _no_hint(body.api_key or "")
                columns |= {"sealed_key": self.secrets.seal(key), "key_hint": hint_of(key)}
            row.update_from_dict(columns)
            await row.save()
        return self._shown(row)

    async def delete(self, id_: str, user: UserContext) -> None:
        """Remove a channel. Raises `ApiError` 404."""
        await (await self._row(id_, user)).delete()

    async def open(self, id_: str, user: UserContext) -> Channel:
        """A channel with its key, for asking its service. Raises `ApiError` 404."""
        return self._channel(await self._row(id_, user))

    def _channel(self, row: ChannelRow) -> Channel:
        content = row.content
        return Channel(
            row.label,
            self._adapter(content.get("adapterType"), content.get("providerId")),
            row.base_url,
            self.secrets.open(row.sealed_key),
            tuple(content.get("supportedModels") or ()),
            self._headers(row),
            model_list=content.get("modelListEndpoint") or "",
        )

    def _adapter(self, type_: str | None, provider: str | None) -> str:
        """The adapter of a channel: what is none that is installed speaks the protocol that nearly all do."""
        wanted = ((type_ or "").strip() or (provider or "").strip()).lower()
        return wanted if wanted in self.llm.adapter_names() else _USUAL

    def _columns(self, body: ChannelBody) -> dict[str, Any]:
        content = {
            "providerId": body.provider_id,
            "adapterType": body.adapter_type,
            "supportedModels": body.supported_models,
            "storageMode": body.storage_mode,
            "modelListEndpoint": body.model_list_endpoint,
        }
        return {
            "label": body.label,
            "adapter": self._adapter(body.adapter_type, body.provider_id),
            "base_url": body.base_url,
            "content": without_nulls(content),
            "disabled": body.disabled,
        }

    def _headers(self, row: ChannelRow) -> dict[str, str]:
        headers: dict[str, str] = loads(self.secrets.open(row.sealed_headers)) if row.sealed_headers else {}
        return headers

    def _shown(self, row: ChannelRow) -> dict[str, Any]:
        return {
            **row.content,
            "customHeaders": dict.fromkeys(self._headers(row), HIDDEN),
            "id": row.id,
            "userId": row.user_id,
            "label": row.label,
            "baseUrl": row.base_url,
            "apiKey": row.key_hint,
            "disabled": row.disabled,
            "createdAt": iso(row.created_at),
        }

    def _sealed(self, headers: Mapping[str, str], before: Mapping[str, str]) -> str | None:
        """Headers, sealed; one that is given as it was shown keeps its value."""
        values = {name: before.get(name, value) if value == HIDDEN else value for name, value in headers.items()}
        return self.secrets.seal(dumps(values).decode()) if values else None

    async def channels(self, user: UserContext) -> Sequence[Channel]:
        """See `ChannelSource`: the user's own."""
        rows = await ChannelRow.filter(user_id=user.uid, disabled=False)
        return [self._channel(row) for row in rows]

    # Models

    async def models_of(self, user: UserContext) -> list[dict[str, Any]]:
        """The user's models, the oldest first."""
        return [_model(row) for row in await ModelRow.filter(user_id=user.uid)]

    async def model(self, model_id: str, user: UserContext) -> dict[str, Any]:
        """A model. Raises `ApiError` 404."""
        return _model(await self._model_row(model_id, user))

    async def _model_row(self, model_id: str, user: UserContext) -> ModelRow:
        row = await ModelRow.filter(model_id=model_id, user_id=user.uid).select_for_update().first()
        if row is None:
            raise ApiError(404, f"There is no model {model_id!r}.")
        return row

    async def create_model(self, body: ModelBody, user: UserContext) -> dict[str, Any]:
        """Add a model. Raises `ApiError` 409."""
        content = unstructure(body)
        try:
            row = await ModelRow.create(user_id=user.uid, model_id=content["modelId"], content=content)
        except IntegrityError:
            raise ApiError(409, f"There is a model {content['modelId']!r} already.") from None
        return _model(row)

    async def update_model(self, model_id: str, changes: Mapping[str, Any], user: UserContext) -> dict[str, Any]:
        """Change those fields of a model that are given. Raises `ApiError` 404, or 409 for an id that another has; `Invalid`."""
        try:
            async with self.storage.transaction():
                row = await self._model_row(model_id, user)
                row.content = unstructure(structure(without_nulls({**row.content, **changes}), ModelBody))
                row.model_id = row.content["modelId"]
                await row.save()
        except IntegrityError:
            raise ApiError(409, f"There is a model {changes['modelId']!r} already.") from None
        return _model(row)

    async def delete_model(self, model_id: str, user: UserContext) -> None:
        """Remove a model. Raises `ApiError` 404."""
        await (await self._model_row(model_id, user)).delete()


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields without those that are unset."""
    return {key: value for key, value in fields.items() if value is not None}


def _model(row: ModelRow) -> dict[str, Any]:
    return {**row.content, "modelId": row.model_id, "userId": row.user_id, "createdAt": iso(row.created_at)}
