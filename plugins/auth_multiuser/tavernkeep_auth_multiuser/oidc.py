"""Login through an identity provider: OpenID Connect's authorization code flow, with PKCE, state and nonce.

What the browser has to bring back (state, nonce, verifier) is sealed into a cookie of its own, so that the server remembers nothing of a
login that was only begun. Tokens are checked by joserfc; only signatures of a public key are taken.
Source: https://openid.net/specs/openid-connect-core-1_0.html, RFC 7636, RFC 9700.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any, Final
from urllib.parse import urlencode

import attrs
import httpx2
import structlog
from tortoise.exceptions import IntegrityError

from tavernkeep import ApiError
from tavernkeep.clock import Clock, now
from tavernkeep.contracts.storage import Storage
from tavernkeep.finish import finish
from tavernkeep.wire import Invalid
from tavernkeep_accounts.contracts import Account, Accounts
from tavernkeep_auth_multiuser.config import OidcConfig
from tavernkeep_auth_multiuser.models import OidcIdentity
from tavernkeep_secrets.contracts import Secrets

_log = structlog.get_logger(__name__)

_ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA"]
_GOOD_FOR_S: Final = 600.0  # from the beginning of a login to its end
_FRESH_S: Final = 3600.0  # for what the provider says of itself
_LEEWAY_S: Final = 60
_TIMEOUT_S: Final = 10.0
_TRIES: Final = 100


class OidcError(ApiError):
    """The provider, or what came back from it, will not do; the message says why."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(status, message)


@attrs.frozen
class Begun:
    """A login that was begun: where the browser is to go, and what it has to bring back."""

    url: str
    cookie: str


@attrs.define(eq=False)
class Oidc:
    """One identity provider."""

    config: OidcConfig
    storage: Storage
    secrets: Secrets
    accounts: Accounts
    clock: Clock = now
    _document: dict[str, Any] = attrs.field(factory=dict)
    _keys: dict[str, Any] = attrs.field(factory=dict)
    _read_at: float = 0.0
    _reading: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def return_to(self, base_path: str) -> str:
        """Where a browser goes when it is logged in: a path is one below which the server is shown."""
        configured = self.config.return_to
        below = configured == base_path or configured.startswith(f"{base_path}/")
        return configured if below or not configured.startswith("/") else f"{base_path}{configured}"

    async def begin(self, redirect_uri: str) -> Begun:
        """Begin a login.

        Raises:
            OidcError: 502, the provider cannot be reached.
        """
        document = await self._provider()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.config.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.config.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        kept = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "redirect": redirect_uri,
            "until": self.clock().timestamp() + _GOOD_FOR_S,
        }
        sealed = base64.urlsafe_b64encode(self.secrets.seal(json.dumps(kept)).encode()).decode()
        endpoint = str(document["authorization_endpoint"])
        return Begun(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", sealed)

    async def finish(self, query: "Callback", cookie: str | None) -> Account:
        """End a login; gives the account, which is made where there is none yet and the configuration lets it.

        Raises:
            OidcError: 401, what came back is not what was asked for; 403, there is no account; 502, the provider cannot be reached.
        """
        kept = self._kept(cookie)
        if query.state is None or not hmac.compare_digest(query.state.encode(), str(kept["state"]).encode()):
            raise OidcError("This is not the login that this browser began.")
        if query.error is not None or query.code is None:
            raise OidcError(f"The identity provider refused: {(query.error or 'it gave no code')[:100]}")
        claims = await self._claims(await self._exchange(query.code, kept), str(kept["nonce"]))
        return await self._account(claims)

    def _kept(self, cookie: str | None) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads(self.secrets.open(base64.urlsafe_b64decode(cookie or "").decode()))
            if kept["until"] < self.clock().timestamp():
                raise OidcError("This login was begun too long ago; begin again.")
        except OidcError:
            raise
        except (ApiError, ValueError, KeyError, TypeError):
            raise OidcError("This browser has begun no login here.") from None
        return kept

    # What the provider says

    async def _provider(self) -> dict[str, Any]:
        async with self._reading:
            if time.monotonic() - self._read_at > _FRESH_S or not self._document:
                document = await self._get(f"{self.config.issuer.rstrip('/')}/.well-known/openid-configuration")
                if document.get("issuer") != self.config.issuer:
                    raise OidcError(f"The identity provider calls itself {document.get('issuer')!r}, not {self.config.issuer!r}.", 502)
                self._keys = await self._get(str(document.get("jwks_uri")))
                self._document, self._read_at = document, time.monotonic()
        return self._document

    async def _get(self, url: str) -> dict[str, Any]:
        return await self._ask("GET", url)

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as client:
                answer = await client.request(method, url, **options)
                content = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise OidcError(f"The identity provider cannot be asked: {type(error).__name__}", 502) from None
        if answer.status_code >= 400 or not isinstance(content, dict):
            said = content.get("error") if isinstance(content, dict) else None
            raise OidcError(f"The identity provider refused ({answer.status_code}): {str(said)[:100]}", 401 if method == "POST" else 502)
        return content

    async def _exchange(self, code: str, kept: dict[str, Any]) -> str:
        document = await self._provider()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": kept["redirect"],
            "client_id": self.config.client_id,
            "code_verifier": kept["verifier"],
        }
        if self.config.client_secret:
            form["client_secret"] = self.config.client_secret
        tokens = await self._ask("POST", str(document["token_endpoint"]), data=form)
        if not isinstance(tokens.get("id_token"), str):
            raise OidcError("The identity provider gave no ID token.")
        return str(tokens["id_token"])

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.jwk import KeySet

        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self.config.issuer},
            aud={"essential": True, "value": self.config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
        )
        for again in (True, False):
            try:
                decoded = jwt.decode(token, KeySet.import_key_set(self._keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
                registry.validate(decoded.claims)
                break
            except (JoseError, ValueError, KeyError, TypeError) as error:
                if again:  # it may have new keys
                    self._read_at = float("-inf")
                    await self._provider()
                    continue
                _log.warning("an ID token is refused", reason=type(error).__name__)
                raise OidcError("The identity provider's token is not good.") from None
        claims: dict[str, Any] = decoded.claims
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self.config.client_id:
            raise OidcError("The identity provider's token is for another application.")
        return claims

    # Who it is

    async def _account(self, claims: dict[str, Any]) -> Account:
        subject = str(claims["sub"])[:255]
        account = await self._known(subject)
        if account is None:
            if not self.config.create_users:
                raise OidcError("There is no account for you here; ask an administrator.", 403)
            try:
                account = await finish(self._new(str(claims.get(self.config.username_claim) or "user"), subject))
            except IntegrityError:  # the same person has just logged in for the first time elsewhere
                account = await self._known(subject)
        if account is None:
            raise OidcError("Try again.")
        if account.disabled:
            raise OidcError("This account is disabled.", 403)
        return account

    async def _known(self, subject: str) -> Account | None:
        identity = await OidcIdentity.get_or_none(issuer=self.config.issuer, subject=subject)
        return await self.accounts.get(identity.uid) if identity else None

    async def _new(self, wanted: str, subject: str) -> Account:
        """A new account, whose name is never that of one that is here: who has a name elsewhere is not who has it here."""
        async with self.storage.transaction():
            if (account := await self._known(subject)) is not None:
                return account
            for number in range(1, _TRIES):
                try:
                    account = await self.accounts.create(wanted[:90] if number == 1 else f"{wanted[:90]} {number}", "user")
                except Invalid:
                    raise OidcError("The identity provider gives a name that cannot be used here.", 403) from None
                except ApiError as error:
                    if error.status != 409:
                        raise
                    continue
                await OidcIdentity.filter(issuer=self.config.issuer, subject=subject).delete()  # of an account that is gone
                await OidcIdentity.create(issuer=self.config.issuer, subject=subject, uid=account.uid)
                return account
        raise OidcError("There is no free name for you here; ask an administrator.", 403)


@attrs.frozen
class Callback:
    """What the identity provider sends the browser back with."""

    code: str | None = attrs.field(default=None, repr=False)
    state: str | None = attrs.field(default=None, repr=False)
    error: str | None = None
