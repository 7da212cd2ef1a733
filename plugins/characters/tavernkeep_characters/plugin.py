"""The plugin: character cards."""


class CharactersPlugin:
    """Character cards."""
