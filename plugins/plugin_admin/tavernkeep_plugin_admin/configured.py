"""Which plugins the configuration file turns off, and how that is changed so that the server goes on starting."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import attrs

from tavernkeep.config import ConfigSource, write_config
from tavernkeep.config.sections import PluginsConfig
from tavernkeep.wire import Invalid, loads

_LONGEST_TRY_S: Final = 60.0


class SwitchError(Exception):
    """A plugin cannot be switched; the message says why."""


def disabled_in(file: Path) -> list[str]:
    """The plugins that a configuration file turns off; none where it cannot be read."""
    section = _content(file).get("plugins")
    disabled = section.get("disabled") if isinstance(section, dict) else None
    return [str(name) for name in disabled] if isinstance(disabled, list) else []


def _content(file: Path) -> dict[str, Any]:
    try:
        content = loads(file.read_bytes())
    except (OSError, Invalid):
        return {}
    return content if isinstance(content, dict) else {}


def _but_disabled(content: dict[str, Any]) -> dict[str, Any]:
    section = content.get("plugins")
    rest = {key: value for key, value in section.items() if key != "disabled"} if isinstance(section, dict) else section
    return {key: value for key, value in content.items() if key != "plugins"} | ({"plugins": rest} if rest else {})


@attrs.frozen
class ConfiguredPlugins:
    """What the configuration file says of plugins.

    Attributes:
        began_with: What it had at the start, but for which plugins are off: as long as that is so, what is known of the running server
            tells what the next start needs.
    """

    file: Path
    began_with: dict[str, Any]

    @classmethod
    def of(cls, file: Path) -> "ConfiguredPlugins":
        """Those of a file, as it is at the start."""
        return cls(file, _but_disabled(_content(file)))

    async def switch(self, name: str, disabled: list[str], *, enabled: bool) -> None:
        """Write which plugins are off.

        Raises:
            SwitchError: It cannot be written, it would have no effect, or the server would not start with it.
        """
        said = await asyncio.to_thread(self._written, disabled)
        if not enabled and _but_disabled(said) != self.began_with:
            await self._try(said)
        if reason := await asyncio.to_thread(self._outvoted, name, enabled):
            raise SwitchError(reason)
        try:
            await asyncio.to_thread(write_config, self.file, said)
        except OSError as error:
            raise SwitchError(f"The configuration file cannot be written: {error.strerror}") from None

    def _written(self, disabled: list[str]) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.file.read_bytes()) if self.file.exists() else {}
            content.setdefault("plugins", {})["disabled"] = disabled
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise SwitchError(f"The configuration file cannot be written: {error}") from None
        return content

    def _outvoted(self, name: str, enabled: bool) -> str | None:
        """Why the file cannot say it: the environment wins over it, or it names those that run."""
        in_force, in_file = (
            source.early("plugins", PluginsConfig) for source in (ConfigSource.read(self.file), ConfigSource.read(self.file, {}))
        )
        if in_force.only is not None and enabled and name not in in_force.only:
            return f"plugins.only names the plugins that run, and {name!r} is none of them."
        if in_force.disabled != in_file.disabled:
            return "The environment (TAVERNKEEP_PLUGINS__DISABLED) says which plugins are off, and wins over the configuration file."
        return None

    async def _try(self, content: dict[str, Any]) -> None:
        """See in a process of its own whether a server would start: the file says other things than when this one did."""
        trial = self.file.with_name(f".{self.file.name}.trial")
        try:
            await asyncio.to_thread(write_config, trial, content)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tavernkeep",
                "--config",
                str(trial),
                "plugins",
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(_LONGEST_TRY_S):
                    _, said = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        except (OSError, TimeoutError) as error:
            raise SwitchError(f"It cannot be told whether the server would start: {error or 'that took too long'}") from None
        finally:
            await asyncio.to_thread(trial.unlink, missing_ok=True)
        told = [line for line in said.decode(errors="replace").splitlines() if line.startswith("tavernkeep: ")]
        if told or process.returncode:
            raise SwitchError(f"The server would not start: {told[-1].removeprefix('tavernkeep: ') if told else 'it ends at once'}")
