"""`tavernkeep import DIR`: another installation taken over, twice, and left as it was."""

import base64
import hashlib
import json
import os
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from support.server import serve, tavernkeep

MASTER = "0123456789abcdef" * 4
SECRET = "ctsk_" + "k" * 43
PLANTED = "sk-PLANTED-credential"


def seal(secret: str, key: bytes) -> str:
    iv = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    body = encryptor.update(padder.update(secret.encode()) + padder.finalize()) + encryptor.finalize()
    return f"{iv.hex()}:{base64.b64encode(body).decode()}"


def installation(folder: Path, key: bytes = bytes.fromhex(MASTER)) -> Path:
    """One with a user, a key, credentials, a channel, a model, files and a library; its database is open in WAL mode, not checkpointed."""
    (folder / "data").mkdir(parents=True)
    config = {
        "server": {"backend": {"port": 4321}},
        "execution": {"max_concurrent_workflows": 7},
        "security": {"masterEncryptionKeyValue": MASTER, "corsAllowedOrigins": ["http://a.example"]},
        "paths": {"data": "/somewhere/else"},
        "unknown": 1,
    }
    (folder / "config.json").write_text(json.dumps(config))
    base = sqlite3.connect(folder / "data" / "app.db")
    base.executescript(
        """
        PRAGMA journal_mode = WAL;
        CREATE TABLE users (uid TEXT PRIMARY KEY, username TEXT, password_hash TEXT, is_admin INTEGER, created_at INTEGER, avatar_url TEXT);
        CREATE TABLE service_api_keys (id TEXT, user_id TEXT, name TEXT, prefix TEXT, hashed_key TEXT, scopes TEXT, created_at TEXT);
        CREATE TABLE external_credentials
            (id TEXT, userId TEXT, serviceName TEXT, encryptedCredential TEXT, displayName TEXT, createdAt TEXT);
        CREATE TABLE api_channels (id TEXT, user_id TEXT, label TEXT, base_url TEXT, api_key TEXT, supported_models TEXT, disabled INTEGER);
        CREATE TABLE models (model_id TEXT, user_id TEXT, display_name TEXT, capabilities TEXT, group_name TEXT);
        CREATE TABLE __migrations (id INTEGER, hash TEXT);
        """
    )
    base.execute("INSERT INTO users VALUES ('u-1', '爱丽丝', 'x', 0, 1700000000000, NULL)")
    base.execute("INSERT INTO users VALUES ('default_user', 'default', NULL, 1, 1700000000, NULL)")
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    keys = [
        ("k1", "default_user", "mine", SECRET[:13], digest, '["project:read"]', "2026-01-02T03:04:05.000Z"),
        ("k2", "default_user", None, "ctsk_x", "$2b$10$other", "[]", None),
        ("k3", "gone", None, SECRET[:13], digest, "[]", None),
    ]
    base.executemany("INSERT INTO service_api_keys VALUES (?, ?, ?, ?, ?, ?, ?)", keys)
    sealed = [
        ("c1", "default_user", "openai", seal(PLANTED, key), "Mine", None),
        ("c2", "u-1", "x", seal("other", os.urandom(32)), None, None),
    ]
    base.executemany("INSERT INTO external_credentials VALUES (?, ?, ?, ?, ?, ?)", sealed)
    base.execute(
        "INSERT INTO api_channels VALUES ('ch1', 'default_user', 'local', 'http://127.0.0.1:9', ?, '[\"m\"]', 1)",
        [seal("sk-channel-key", key)],
    )
    base.execute("INSERT INTO models VALUES ('org/m', 'default_user', 'M', '[\"chat\"]', 'g')")
    base.execute("INSERT INTO models VALUES ('', 'default_user', '', '[]', NULL)")
    base.commit()
    workflows = folder / "userData" / "default_user" / "projects" / "inn" / "workflows"
    workflows.mkdir(parents=True)
    (workflows.parent / "project.json").write_text(json.dumps({"id": "inn", "name": "inn", "version": "1", "schemaVersion": "1"}))
    (workflows / "酒.json").write_text(json.dumps({"id": "w", "name": "酒", "nodes": [], "edges": []}))
    (workflows / "bad:name.json").write_text("{}")
    (workflows / "link.json").symlink_to("/etc/passwd")
    (folder / "library" / "workflows").mkdir(parents=True)
    (folder / "library" / "workflows" / "lib.json").write_text(json.dumps({"id": "lib", "name": "Lib", "nodes": [], "edges": []}))
    base.execute("INSERT INTO models VALUES ('late', 'default_user', 'only in the log', '[]', NULL)")
    base.commit()
    global _open
    _open = base
    return folder


_open: sqlite3.Connection


def picture(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and not path.name.endswith("-shm")
    }


async def test_all_of_it_twice(tmp_path: Path) -> None:
    """A dry run does nothing; the first run takes it over; the second finds it all here; the source never changes."""
    source, here = installation(tmp_path / "old"), tmp_path / "new"
    here.mkdir()
    before = picture(source)
    dry = await tavernkeep(here, "import", str(source), "--dry-run")
    assert dry.code == 0, dry.stderr
    assert list(here.iterdir()) == []
    assert "keys from service_api_keys" in dry.stdout
    assert "left out: __migrations" in dry.stdout
    assert PLANTED not in dry.stdout + dry.stderr
    assert MASTER not in dry.stdout + dry.stderr
    first = await tavernkeep(here, "import", str(source))
    assert first.code == 0, first.stderr
    for line in (
        "server.backend.port, execution.max_concurrent_workflows, security.corsAllowedOrigins",
        "1 hashed in another way than SHA-256, left out (make new ones), 1 taken over, 1 whose user is not there, left out",
        "credentials    1 taken over, 1 that the key does not open, left out",
        "bad:name.json has no safe name",
        "link.json has no safe name, or is a link",
    ):
        assert line in first.stdout, first.stdout
    second = await tavernkeep(here, "import", str(source))
    assert second.code == 0
    assert "taken over" not in second.stdout
    assert "nothing new" in second.stdout
    assert picture(source) == before
    config = json.loads((here / "config.json").read_text())
    assert config["server"] == {"backend": {"port": 4321}}
    assert "masterEncryptionKeyValue" not in config["security"]
    assert "paths" not in config
    async with serve(here) as server:
        by_key = (await server.http.get("/api/auth/current", headers={"Authorization": f"Bearer {SECRET}"})).json()["currentUser"]
        assert (by_key["uid"], by_key["serviceApiKeys"]) == ("default_user", [])  # it is good, and not for the account
        me = (await server.http.get("/api/auth/current")).json()["currentUser"]
        assert [key["name"] for key in me["serviceApiKeys"]] == ["mine"]
        assert me["externalCredentials"][0]["displayHint"] == {"prefix": "sk-P", "suffix": "tial"}
        (channel,) = (await server.http.get("/api/llm/channels")).json()
        assert (channel["label"], channel["apiKey"], channel["supportedModels"], channel["disabled"]) == ("local", "sk-c…-key", ["m"], True)
        models = (await server.http.get("/api/llm/models")).json()
        assert [model["modelId"] for model in models] == ["org/m", "late"]
        assert [entry["name"] for entry in (await server.http.get("/api/projects/inn/workflows")).json()] == ["酒"]
        assert (await server.http.get("/api/workflows")).json() == [{"id": "lib", "name": "Lib"}]
    for file in (here / "data").rglob("*"):
        assert not file.is_file() or b"PLANTED" not in file.read_bytes()


@pytest.mark.parametrize("form", ["as it is", "hashed", "hexadecimal", "base64"])
async def test_credentials_however_the_key_was_made_of_its_text(tmp_path: Path, form: str) -> None:
    """The key itself, its hash, or its hexadecimal or Base64 form."""
    key = b"a-master-key-of-32-characters-xx"
    master = {"hexadecimal": key.hex(), "base64": base64.b64encode(key).decode()}.get(form, key.decode())
    source, here = installation(tmp_path / "old", hashlib.sha256(key).digest() if form == "hashed" else key), tmp_path / "new"
    here.mkdir()
    ran = await tavernkeep(here, "import", str(source), "--master-key", master)
    assert "credentials    1 taken over, 1 that" in ran.stdout, ran.stdout


@pytest.mark.slow
async def test_what_is_here_stays(tmp_path: Path) -> None:
    """Settings and files of this installation win; a server that runs here is not disturbed; what is no installation is said."""
    source, here = installation(tmp_path / "old"), tmp_path / "new"
    mine = here / "data" / "users" / "default_user" / "projects" / "inn"
    mine.mkdir(parents=True)
    (mine / "project.json").write_text('{"mine": true}')
    (here / "config.json").write_text('{"server": {"backend": {"port": 1}}}')
    ran = await tavernkeep(here, "import", str(source))
    assert "project.json is here with another content, left as it is" in ran.stdout
    assert (mine / "project.json").read_text() == '{"mine": true}'
    assert json.loads((here / "config.json").read_text())["server"]["backend"]["port"] == 1
    async with serve(here):
        busy = await tavernkeep(here, "import", str(source))
        assert (busy.code, "another server is running" in busy.stderr) == (1, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = await tavernkeep(here, "import", str(empty), "--dry-run")
    assert "none found (name it with --database)" in nothing.stdout
    (empty / "config.json").write_text("{")
    assert (await tavernkeep(here, "import", str(empty))).code == 1
    assert (await tavernkeep(here, "import", str(tmp_path / "none"))).code == 2
