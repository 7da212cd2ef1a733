"""What of SillyTavern's settings has a meaning here. Only what is named here is taken, so that no key comes along."""

import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs

_PROFILE: Final = ("name", "mode", "api", "model", "preset", "sysprompt", "context", "instruct", "tokenizer")
_SERVICES: Final[Mapping[str, tuple[str, str]]] = {  # by SillyTavern's name: the address, and the adapter
    "openai": ("https://api.openai.com/v1", "openai"),
    "claude": ("https://api.anthropic.com", "anthropic"),
    "makersuite": ("https://generativelanguage.googleapis.com", "google"),
    "openrouter": ("https://openrouter.ai/api/v1", "openai"),
    "mistralai": ("https://api.mistral.ai/v1", "openai"),
    "deepseek": ("https://api.deepseek.com/v1", "openai"),
    "groq": ("https://api.groq.com/openai/v1", "openai"),
    "xai": ("https://api.x.ai/v1", "openai"),
}
_LONGEST: Final = 200  # characters of a name
_SPACE: Final = uuid.UUID("5b0c1d2e-6a6e-4d2b-9a55-1f5f6f0f4a11")  # ids of channels are the same each time


@attrs.frozen
class Settings:
    """What is taken.

    Attributes:
        kept: As a file, for workflows to read.
        scripts: The regex scripts for all characters.
        channels: The connections, by the id of the channel that each becomes.
        left_out: What was recognised and not taken, and why.
    """

    kept: dict[str, Any]
    scripts: list[Any]
    channels: dict[str, dict[str, Any]]
    left_out: list[str]


def read_settings(content: Mapping[str, Any], secrets: Mapping[str, Any], uid: str) -> Settings:
    """Read `settings.json`.

    Args:
        secrets: What is in `secrets.json`, where that was asked for.
        uid: Whose channels they become.
    """
    power, extensions = _object(content, "power_user"), _object(content, "extension_settings")
    descriptions = _object(power, "persona_descriptions")
    personas = [
        {"name": name, "avatar": avatar, "description": _description(descriptions.get(avatar))}
        for avatar, name in _object(power, "personas").items()
        if isinstance(name, str)
    ]
    profiles = [one for one in _list(_object(extensions, "connectionManager"), "profiles") if isinstance(one, dict)]
    kept = {
        "userName": _text(content.get("username")),
        "defaultPersona": _text(power.get("default_persona")),
        "personaDescription": _text(power.get("persona_description")),
        "personas": personas or None,
        "activeWorlds": _worlds(content) or None,
        "activeCharacter": _text(content.get("active_character")),
        "mainApi": _text(content.get("main_api")),
        "connections": [{key: text for key in _PROFILE if (text := _text(one.get(key)))} for one in profiles] or None,
    }
    channels: dict[str, dict[str, Any]] = {}
    left_out = []
    for profile in [*profiles, *_current(content)]:
        name = _text(profile.get("name")) or _text(profile.get("api")) or "unnamed"
        channel = _channel(profile, name, secrets)
        if channel is None:
            left_out.append(f"the connection {name!r}: no address is known for it")
        else:
            channels.setdefault(str(uuid.uuid5(_SPACE, f"{uid}\n{name}\n{channel['baseUrl']}")), channel)
    if len(kept["activeWorlds"] or ()) > 1:
        left_out.append("all active worlds but the first, as far as chats go: one goes with each")
    scripts = _list(extensions, "regex")
    good = [one for one in scripts if isinstance(one, dict) and isinstance(one.get("findRegex"), str)]
    if len(good) < len(scripts):
        left_out.append(f"{len(scripts) - len(good)} regex scripts that have no findRegex")
    return Settings({key: value for key, value in kept.items() if value is not None}, good, channels, left_out)


def _current(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The connection that is in use, where it is to an address of its own: it need not be among the profiles."""
    chat = _object(content, "oai_settings")
    if chat.get("chat_completion_source") != "custom" or not chat.get("custom_url"):
        return []
    return [{"name": "custom", "api": "custom", "model": chat.get("custom_model"), "api-url": chat["custom_url"]}]


def _channel(profile: Mapping[str, Any], name: str, secrets: Mapping[str, Any]) -> dict[str, Any] | None:
    api = (_text(profile.get("api")) or "").lower()
    known = _SERVICES.get(api)
    url = _without_secrets(_text(profile.get("api-url"))) or (known[0] if known else None)
    if url is None:
        return None
    model = _text(profile.get("model"))
    return {
        "label": name[:_LONGEST],
        "baseUrl": url,
        "apiKey": _key(secrets, api),
        "adapterType": known[1] if known else "openai",
        "supportedModels": [model] if model else [],
    }


def _without_secrets(url: str | None) -> str | None:
    """An address without who asks there, and without a question, which may hold a key."""
    try:
        parts = urlsplit((url or "").strip())
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return None
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        return None


def _key(secrets: Mapping[str, Any], api: str) -> str:
    """A key: one text, or several of which one is active."""
    value = secrets.get(f"api_key_{api}")
    if isinstance(value, list):
        entries = [one for one in value if isinstance(one, dict)]
        value = next((one.get("value") for one in sorted(entries, key=lambda one: not one.get("active"))), None)
    return _text(value) or ""


def _worlds(content: Mapping[str, Any]) -> list[str]:
    info = _object(content, "world_info_settings")
    chosen = _object(info, "world_info") or _object(content, "world_info")
    names = _list(chosen, "globalSelect")
    single = _text(info.get("world_info")) or _text(content.get("world_info"))
    return [name for name in [*names, single] if isinstance(name, str) and name]


def _description(value: Any) -> str:
    return _text(value.get("description") if isinstance(value, dict) else value) or ""


def _object(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key)
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else None
