"""Sealing anew, in the database, what was sealed with a key that is given up."""

from typing import Any

import attrs

from tavernkeep_secrets.contracts import Secrets


@attrs.frozen
class Resealed:
    """See `Resealing`."""

    secrets: Secrets

    def __call__(self, sealed: str) -> str:
        """See `Resealing`."""
        return self.secrets.seal(self.secrets.open(sealed))

    async def rows(self, rows: Any, field: str) -> int:
        """See `Resealing`."""
        count = 0
        async for row in rows:
            if sealed := getattr(row, field):
                setattr(row, field, self(sealed))
                await row.save(update_fields=[field])
                count += 1
        return count
