"""`hypercorn tavernkeep.asgi:app`: the server as an ASGI application.

The configuration file is named by `TAVERNKEEP_CONFIG`, else it is `config.json` in the working folder. Everything starts with the
server's lifespan and ends with it.
"""

import asyncio
import os
import sys
from typing import Any

from tavernkeep.app import Application, config_source
from tavernkeep.config.sections import LoggingConfig, StartError
from tavernkeep.contracts.app import Role
from tavernkeep.ending import leave
from tavernkeep.logs import configure_logging
from tavernkeep.plugins.installed import place_of


class Lifespan:
    """Loads, starts and stops an `Application` with the lifespan of the ASGI server that runs it."""

    def __init__(self, app: Application | None = None) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            assert self._app is not None, "the ASGI server did not run the lifespan protocol"
            await self._app.asgi(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        try:
            if self._app is None:
                self._app = load()
                self._app.ending.watch()
                self._app.ending.listen()
            await self._app.start(Role.ALL)
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise
        except BaseException as error:
            # Servers answer `lifespan.startup.failed` with a traceback of their own, and any other end of it by serving 500 to everybody;
            # an operator needs the one line.
            said = str(error) if isinstance(error, StartError) else f"the server cannot start: {type(error).__name__}: {error}"
            place = "" if isinstance(error, StartError) else "".join(f" ({place})" for place in place_of(error).values())
            print(f"tavernkeep: {' '.join(said.split())}{place}", file=sys.stderr, flush=True)
            leave(1)
        await send({"type": "lifespan.startup.complete"})
        asked = await self._app.outlast(asyncio.ensure_future(receive()))
        await self._app.stop()
        if asked:
            await send({"type": "lifespan.shutdown.complete"})
        self._app.ending.be_brief(0 if self._app.ending.clean else 1)


def load(path: str | None = None) -> Application:
    """Load the app of this process, with its logging set up.

    Raises:
        StartError: The configuration is wrong.
    """
    source = config_source(path, os.environ)
    logging = source.early("logging", LoggingConfig)
    configure_logging(logging)
    app = Application.load(source)
    configure_logging(logging, app.config.secrets())
    return app


app = Lifespan()
