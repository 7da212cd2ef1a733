"""Single-user mode with a password, on a running server."""

from pathlib import Path

from support.server import serve, tavernkeep
from support.users import PASSWORD

LOGIN = "/api/auth/login"


async def test_single_user_mode_with_a_password(tmp_path: Path) -> None:
    """It may listen anywhere; nothing is answered before the login, and guessing is slowed down."""
    hashed = (await tavernkeep(tmp_path, "access-password", stdin=PASSWORD.encode())).stdout.strip()
    config = {"userManagement": {"accessPasswordHash": hashed}, "server": {"backend": {"host": "0.0.0.0"}}}
    async with serve(tmp_path, config) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        described = (await server.http.get(f"{url}/api/auth/current")).json()
        assert (described["mode"], described["accessPasswordRequired"], described["isAuthenticated"]) == ("SingleUser", True, False)
        assert (await server.http.get(f"{url}/api/projects")).status_code == 401
        assert (await server.http.post(f"{url}{LOGIN}", json={"password": "wrong"})).status_code == 401
        assert (await server.http.post(f"{url}{LOGIN}", json={"password": PASSWORD})).json() == {"success": True}
        assert (await server.http.get(f"{url}/api/projects")).status_code == 200
        assert (await server.http.get(f"{url}/api/auth/current")).json()["currentUser"]["uid"] == "default_user"
        await server.http.post(f"{url}/api/auth/logout")
        assert (await server.http.get(f"{url}/api/projects")).status_code == 401
        answers = [(await server.http.post(f"{url}{LOGIN}", json={"password": f"{n}"})).status_code for n in range(12)]
        assert 429 in answers
    ran = await tavernkeep(tmp_path, "serve", "--port", "0", config={"userManagement": {"accessPasswordHash": "$2b$10$abc"}})
    assert (ran.code, "tavernkeep access-password" in ran.stderr) == (1, True)
