"""Another installation: where it keeps what."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import click

from tavernkeep.wire import Invalid, loads
from tavernkeep_importer.database import databases_in

_USER_FOLDERS: Final = ("userData", "users", "data/users", "data/userData")

_LIBRARIES: Final = ("library", "data/library")


@attrs.frozen
class Installation:
    """Another installation.

    Attributes:
        user_data: With a folder for each user.
        master_key: What its secrets are sealed with.
    """

    folder: Path
    config: Mapping[str, Any]
    databases: list[Path]
    user_data: Path | None
    library: Path | None
    master_key: str | None = attrs.field(repr=False)

    @classmethod
    def find(
        cls, folder: Path, database: Path | None, user_data: Path | None, library: Path | None, master_key: str | None
    ) -> "Installation":
        """Look around in a folder.

        Raises:
            click.ClickException: Its `config.json` cannot be read.
        """
        config: Any = {}
        file = folder / "config.json"
        if file.is_file():
            try:
                config = loads(file.read_bytes())
            except (OSError, Invalid) as error:
                raise click.ClickException(f"{file} cannot be read: {error}") from None
        if not isinstance(config, dict):
            raise click.ClickException(f"{file} is no object")
        security = config.get("security")
        named = security.get("masterEncryptionKeyValue") if isinstance(security, dict) else None
        return cls(
            folder,
            config,
            [database] if database else list(databases_in(folder)),
            user_data or _first_folder(folder, _USER_FOLDERS),
            library or _first_folder(folder, _LIBRARIES),
            master_key or (named if isinstance(named, str) else None),
        )


def _first_folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)
