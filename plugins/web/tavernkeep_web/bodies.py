"""What the surface's own routes give."""

import attrs


@attrs.frozen
class Ready:
    """Whether the server can do its work.

    Attributes:
        ready: Whether every part can.
        problems: By plugin, why it cannot.
        plugins: Those that should run and do not, with the reason. The server does its work without them, but for those that the
            configuration requires or chooses: these are problems, too.
    """

    ready: bool
    problems: dict[str, str]
    plugins: dict[str, str]


@attrs.frozen
class Alive:
    """The server answers."""

    status: str = "ok"
