"""Whether a caller may: by a scope as a whole, or by one for the very thing that the call is about."""

from collections.abc import Mapping
from typing import Any

import attrs

from tavernkeep.contracts.auth import UserContext
from tavernkeep.contracts.http import ApiError, Source


@attrs.frozen
class Authority:
    """What a route or a message asks of its caller.

    Attributes:
        scope: `None` where everybody may.
        what: What is asked for, for the refusal.
        sources: Where the call says what it is about, outermost first; nothing when only the whole scope is enough.
    """

    scope: str | None
    what: str = "this"
    sources: tuple[Source, ...] = ()

    def admit(self, user: UserContext | None, path: Mapping[str, str]) -> None:
        """Turn away, before anything of the body is read, who may not by what the path says, or whatever the call is about.

        Raises:
            ApiError: 401 for nobody, 403 for who has not the scope.
        """
        if self.scope is None:
            return
        if user is None:
            raise ApiError(401, "Log in first.")
        if not (user.may_for_some(self.scope) if self.sources else user.may(self.scope)):
            raise ApiError(403, f"You need the scope {self.scope} for {self.what}.")
        if all(source.parameter in path for source in self.sources):
            self.check(user, path)

    def check(self, user: UserContext | None, arguments: Mapping[str, Any]) -> None:
        """Turn away who may not for what this call is about; after `admit`.

        Args:
            arguments: What the handler will be called with, and so what it cannot see otherwise than it is seen here.

        Raises:
            ApiError: 403.
        """
        if self.scope is None or user is None or user.may(self.scope):
            return
        ids = [id_ for source in self.sources if (id_ := source.of(arguments)) is not None]
        if len(ids) < len(self.sources) or not user.may(self.scope, *ids):
            raise ApiError(403, f"You need the scope {self.scope} for {self.what}, or the one for this alone.")
