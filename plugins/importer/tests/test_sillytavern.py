"""`tavernkeep import DIR` of a user's folder of SillyTavern, with all that is odd in real ones."""

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest

from support.cards import png
from support.server import serve, tavernkeep
from tavernkeep_importer.sillytavern.folder import NotTaken, content, user_folder, walk
from tavernkeep_importer.sillytavern.settings import read_settings

PLANTED = "sk-PLANTED-key"
SETTINGS = {
    "username": "Ann",
    "main_api": "openai",
    "power_user": {
        "personas": {"a.png": "Ann", "b.png": "Bob"},
        "persona_descriptions": {"a.png": {"description": "A guest.", "position": 0}, "b.png": "Her brother."},
        "default_persona": "a.png",
    },
    "world_info_settings": {"world_info": {"globalSelect": ["Inn", "Town"]}},
    "oai_settings": {
        "proxy_password": PLANTED,
        "chat_completion_source": "custom",
        "custom_url": f"http://ann:{PLANTED}@127.0.0.1:5001/v1?key={PLANTED}",
        "custom_model": "m",
    },
    "extension_settings": {
        "regex": [{"scriptName": "a", "findRegex": "/x/g", "replaceString": "y"}, {"scriptName": "broken"}],
        "connectionManager": {
            "profiles": [{"name": "Mine", "api": "openai", "model": "gpt-x", "secret-id": PLANTED}, {"name": "Horde", "api": "horde"}]
        },
    },
}
CHAT = [
    '{"user_name":"unused","character_name":"unused","create_date":"2024-6-19 @14h 20m 5s 123ms","chat_metadata":{"main_chat":"x"}}\r',
    '{"name":"Ada","is_user":false,"send_date":"June 19, 2024 2:20pm","mes":"b\u2028c","swipes":["a","b\u2028c"],"swipe_id":1}\r',
    '{"name":"Ann","is_user":true,"is_system":true,"send_date":1718806800123,"mes":"secret"}\r',
    '{"name":"Ada","swipes":5,"mes":"wrong"}\r',
    '{"mes":"deep","extra":' + "[" * 3000 + "]" * 3000 + "}\r",
    '{"name":"Ann","is_user":true,"send_date":"2024-06-19T14:25:00Z","mes":"on"}',
]


def card(name: str) -> dict[str, Any]:
    return {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": name, "extensions": {"regex_scripts": []}}}


def silly(folder: Path) -> Path:
    """A user's folder, and a file outside of it."""
    files: dict[str, Any] = {
        "settings.json": SETTINGS,
        "secrets.json": {"api_key_openai": [{"value": "sk-old", "active": False}, {"value": PLANTED, "active": True}]},
        "characters/Ada.png": png((b"chara", card("Ada"))),
        "characters/Bob: the 2nd?.PNG": png((b"chara", card("Bob"))),
        "characters/bob_ the 2nd_.PNG": png((b"chara", card("bob"))),
        "characters/CON.json": {"name": "Old", "data": None},
        "characters/plain.png": png(),
        "characters/Ada/joy.png": b"joy",
        "characters/notes.txt": b"?",
        "chats/Ada/Ada - 2024-06-19@14h20m05s.jsonl": "\ufeff" + "\n".join(CHAT),
        "chats/Ada/Branch #1 - 酒.jsonl": "\n".join(CHAT).encode("utf-16"),
        "chats/Ada/empty.jsonl": b"",
        "chats/Ada/new.jsonl": {"chat_metadata": {}, "user_name": "unused", "character_name": "unused"},
        "chats/Ada/old.txt": b"?",
        "groups/1718806800123.json": {"id": "17", "name": "All: of us", "members": ["Ada.png"], "chats": ["2024-06-19@15h"]},
        "groups/broken.json": b"{",
        "group chats/2024-06-19@15h.jsonl": '{"mes":"hello","name":"Ada","original_avatar":"Ada.png","is_group":true,"send_date":"soon"}',
        "worlds/Inn.json": b"\xef\xbb\xbf" + json.dumps({"entries": {"0": {"key": ["ale"], "content": "Ale is cheap."}}}).encode(),
        "worlds/Nothing.json": {"name": "no entries"},
        "themes/Dark.json": {"name": "Dark"},
        "OpenAI Settings/Mine.json": {"temperature": 1},
        "instruct/Bad.json": [1],
        "QuickReplies/Set.json": {"name": "Set"},
        "User Avatars/a.png": b"a",
        "backgrounds/b.jpg": b"b",
        "thumbnails/avatar/Ada.png": b"t",
        "thumbnails/bg/b.jpg": b"t",
        "extensions/x/index.js": b"x",
        "stats.json": {},
        "unknown/file.bin": b"u",
    }
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()
        path.write_bytes(data)
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.json").write_text('{"entries": {}}')
    (folder / "worlds" / "link.json").symlink_to(outside / "secret.json")
    (folder / "chats" / "Linked").symlink_to(outside)
    os.mkfifo(folder / "worlds" / "pipe.json")
    Path(os.fsdecode(os.fsencode(folder / "worlds") + b"/\xff\x1b[2J.json")).write_bytes(b'{"entries": []}')
    return folder


def picture(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() and not path.is_symlink() else None
        for path in folder.rglob("*")
    }


def written(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "data" / "users").rglob("*") if path.is_file()}


TAKEN = """\
characters/Ada.png: taken over, as user://library/SillyTavern/CharacterCard/Ada.png
characters/Bob: the 2nd?.PNG: taken over, as user://library/SillyTavern/CharacterCard/Bob_ the 2nd_.PNG
characters/bob_ the 2nd_.PNG: taken over, as user://library/SillyTavern/CharacterCard/bob_ the 2nd_ (2).PNG
characters/CON.json: taken over, as user://library/SillyTavern/CharacterCard/_CON.json
characters/plain.png: left out, is no character card: the picture holds no character card
characters/notes.txt: left out, nothing here is known to do with it
characters/Ada/joy.png: taken over, as user://library/SillyTavern/Sprite/Ada/joy.png
chats/Ada/Ada - 2024-06-19@14h20m05s.jsonl: taken over, as a chat of the project SillyTavern with 4 messages and swipes
line 4: left out: its swipes are an integer, where a list belongs
line 5: left out: JSON is nested too deeply
chats/Ada/Branch #1 - 酒.jsonl: taken over, as a chat of the project SillyTavern with 4 messages and swipes
chats/Ada/empty.jsonl: left out, is no chat: it is empty
chats/Ada/new.jsonl: taken over, as a chat of the project SillyTavern with 0 messages and swipes
chats/Ada/old.txt: left out, is no chat
chats/Linked: left out, is a link
group chats/2024-06-19@15h.jsonl: taken over, as a chat of the project SillyTavern with 1 messages and swipes
line 1: its send_date 'soon' is in no form that is known
groups/1718806800123.json: taken over, as user://library/SillyTavern/Group/1718806800123.json
groups/broken.json: left out, not valid JSON
worlds/Inn.json: taken over, as user://library/SillyTavern/WorldBook/Inn.json
worlds/Nothing.json: left out, is no world book: it has no entries
worlds/link.json: left out, is a link
worlds/pipe.json: left out, is no plain file
worlds/\ufffd\ufffd[2J.json: taken over
themes/Dark.json: taken over, as user://library/SillyTavern/Theme/Dark.json
OpenAI Settings/Mine.json: taken over, as user://library/SillyTavern/Preset/OpenAI/Mine.json
instruct/Bad.json: left out, holds a list, where an object belongs
QuickReplies/Set.json: taken over, as user://library/SillyTavern/QuickReply/Set.json
User Avatars/a.png: taken over
backgrounds/b.jpg: taken over, as user://library/SillyTavern/Background/b.jpg
settings.json, names and what is active: taken over, as user://library/SillyTavern/settings.json
settings.json, regex scripts: taken over, as user://library/SillyTavern/RegexRule/settings.json
settings.json, a connection: taken over, as the LLM channel 'Mine' without a key
settings.json, a connection: taken over, as the LLM channel 'custom' without a key
settings.json, a part: left out, the connection 'Horde': no address is known for it
settings.json, a part: left out, all active worlds but the first
settings.json, a part: left out, 1 regex scripts that have no findRegex
thumbnails: left out, made of the pictures again when they are needed (2 files)
extensions: left out, another program's code (1 file)
secrets.json: left out, keys stay where they are (1 file)
stats.json: left out, another program's count (1 file)
unknown/file.bin: left out, nothing here is known to do with it
""".splitlines()


async def test_all_of_it_twice(tmp_path: Path) -> None:
    """A dry run names each file and does nothing; the first run takes it over, the second changes nothing; the source never does."""
    source, here = silly(tmp_path / "old" / "data" / "default-user"), tmp_path / "new"
    here.mkdir()
    before = picture(source)
    dry = await tavernkeep(here, "import", str(tmp_path / "old"), "--dry-run")
    assert (dry.code, list(here.iterdir())) == (0, []), dry.stderr
    first = await tavernkeep(here, "import", str(tmp_path / "old"))
    assert first.code == 0, first.stderr
    for line in TAKEN:
        assert line in first.stdout, (line, first.stdout)
        assert line.replace(": taken over", ": would be taken over") in dry.stdout, (line, dry.stdout)
    kept = written(here)
    second = await tavernkeep(here, "import", str(source))
    assert second.code == 0, second.stderr
    assert "taken over" not in second.stdout
    assert written(here) == kept
    assert picture(source) == before
    said = dry.stdout + first.stdout + second.stdout
    assert PLANTED not in said + "".join(map(repr, kept.values()))
    assert "\x1b" not in said
    async with serve(here) as server:
        names = [one["name"] for one in (await server.http.get("/api/characters")).json()["data"]]
        assert names == ["Ada", "Bob", "Old", "bob"]
        assert [one["id"] for one in (await server.http.get("/api/projects")).json()] == ["SillyTavern"]
        chats = {one["title"]: one for one in (await server.http.get("/api/chat/sessions?projectId=SillyTavern")).json()}
        assert sorted(chats) == ["Ada - 2024-06-19@14h20m05s", "All: of us: 2024-06-19@15h", "Branch #1 - 酒", "new"]
        ada = chats["Ada - 2024-06-19@14h20m05s"]
        assert (ada["createdAt"], ada["lastActivity"]) == ("2024-06-19T14:20:05.123Z", "2024-06-19T14:25:00.000Z")
        assert (ada["tags"], chats["All: of us: 2024-06-19@15h"]["tags"]) == (["Ada"], ["All: of us"])
        assert ada["settings"] == {
            "character": "user://library/SillyTavern/CharacterCard/Ada.png",
            "worldBook": "user://library/SillyTavern/WorldBook/Inn.json",
            "userName": "Ann",
        }
        asked = await server.http.post(f"/api/chat/{ada['id']}/generate?projectId=SillyTavern", json={})
        assert asked.status_code == 201, asked.text  # so it goes on where it was left
        await server.http.post(f"/api/chat/{ada['id']}/stop?projectId=SillyTavern", json={})
        tree = (await server.http.get(f"/api/chat/{ada['id']}/tree?projectId=SillyTavern")).json()
        shown = [(node["role"], node["content"], node["isEnabled"]) for node in tree["nodes"].values()]
        assert shown[:4] == [("assistant", "a", True), ("assistant", "b\u2028c", True), ("user", "secret", False), ("user", "on", True)]
        labels = [(one["label"], one["baseUrl"], one["apiKey"]) for one in (await server.http.get("/api/llm/channels")).json()]
        assert labels == [("Mine", "https://api.openai.com/v1", ""), ("custom", "http://127.0.0.1:5001/v1", "")]
        read = await server.http.get("/api/fam/read/user%3A%2F%2Flibrary%2FSillyTavern%2Fsettings.json")
        assert (read.json()["userName"], read.json()["activeWorlds"]) == ("Ann", ["Inn", "Town"])
        assert read.json()["personas"][1] == {"name": "Bob", "avatar": "b.png", "description": "Her brother."}


@pytest.mark.slow
async def test_it_is_for_somebody(tmp_path: Path) -> None:
    """A dry run finds whom it is for, and what they have already, as the run does."""
    source, here = silly(tmp_path / "old"), tmp_path / "new"
    here.mkdir()
    (here / "config.json").write_text('{"auth": {"provider": "multiuser"}}')
    command = ("import", str(source), "--user", "anna")
    early = await tavernkeep(here, *command, "--dry-run")
    assert (early.code, "no user 'anna'" in early.stderr, (here / "data").exists()) == (1, True, False)
    made = await tavernkeep(here, "user", "create", "anna", "--password", "a long one for Anna")
    assert made.code == 0, made.stderr
    assert (await tavernkeep(here, *command)).code == 0
    kept = written(here)
    again = await tavernkeep(here, *command, "--dry-run")
    assert (again.code, "Ada.png: would be" in again.stdout, "Ada.png: here already" in again.stdout) == (0, False, True)
    assert written(here) == kept
    nobody = await tavernkeep(here, "import", str(source), "--user", "nobody", "--dry-run")
    assert (nobody.code, "no user 'nobody'" in nobody.stderr) == (1, True)


async def test_what_is_here_stays(tmp_path: Path) -> None:
    """Also where the source has changed, or something is in the way; what was cut off is made good; keys come along when asked for."""
    source, here = silly(tmp_path / "old"), tmp_path / "new"
    mine = here / "data" / "users" / "default_user" / "library" / "SillyTavern" / "WorldBook"
    mine.mkdir(parents=True)
    (mine / "Inn.json").write_text("mine")
    (mine.parent / "Theme").write_text("in the way")
    first = await tavernkeep(here, "import", str(source), "--with-keys", "--project", "My: chats")
    assert "themes/Dark.json: left out, " in first.stdout
    assert "worlds/Inn.json: here with another content, left as it is" in first.stdout
    assert "'Mine' with its key" in first.stdout
    assert PLANTED not in first.stdout
    chat = source / "chats" / "Ada" / "new.jsonl"
    chat.write_text(chat.read_text() + '\n{"mes": "more"}')
    second = await tavernkeep(here, "import", str(source), "--with-keys", "--project", "My: chats")
    assert "new.jsonl: here with another content, left as it is" in second.stdout
    assert "taken over" not in second.stdout
    sessions = (here / "data" / "users" / "default_user" / "projects").rglob("session.json")
    next(path for path in sessions if "Branch" in path.read_text(encoding="utf-8")).unlink()  # as if it had been killed half way
    third = await tavernkeep(here, "import", str(source), "--project", "My: chats")
    assert [line for line in third.stdout.splitlines() if "taken over" in line and "Branch" in line]
    assert "1 taken over" in third.stdout
    assert (mine / "Inn.json").read_text() == "mine"
    nobody = await tavernkeep(here, "import", str(source), "--user", "nobody")
    assert (nobody.code, "there is no user 'nobody'" in nobody.stderr) == (1, True)
    async with serve(here) as server:
        assert [one["id"] for one in (await server.http.get("/api/projects")).json()] == ["My_ chats"]
        assert (await server.http.get("/api/llm/channels")).json()[0]["apiKey"].startswith("sk-P")
        busy = await tavernkeep(here, "import", str(source))
        assert (busy.code, "another server is running" in busy.stderr) == (1, True)


def test_which_folder_it_is(tmp_path: Path) -> None:
    """The user's folder, one in `data`, the older `public`; of several users one is to be named; anything else is none."""
    assert user_folder(tmp_path) is None
    for name in ("public/characters", "public/chats"):
        (tmp_path / name).mkdir(parents=True)
    assert user_folder(tmp_path) == tmp_path / "public"
    for name in ("data/ann/chats", "data/ann/worlds", "data/_uploads"):
        (tmp_path / name).mkdir(parents=True)
    assert user_folder(tmp_path) == user_folder(tmp_path / "data") == user_folder(tmp_path / "data/ann") == tmp_path / "data/ann"
    (tmp_path / "data" / "eve").symlink_to(tmp_path / "data/ann")
    assert user_folder(tmp_path) == tmp_path / "data/ann"
    for name in ("data/bob/chats", "data/bob/worlds"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(click.ClickException, match=r"several users: .*ann.*bob"):
        user_folder(tmp_path)


def test_files_are_bounded_and_plain(tmp_path: Path) -> None:
    """What is too large, no file, or a link, is not read."""
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert content(tmp_path / "a", 5) == b"12345"
    for path, limit in ((tmp_path / "a", 4), (tmp_path / "b", 9), (tmp_path, 9), (tmp_path / "none", 9)):
        with pytest.raises(NotTaken):
            content(path, limit)
    (tmp_path / ".writing-c").touch()
    unfinished = ((".writing-c",), "is called as files that are not whole")  # which a start of the server removes
    assert [(one.parts, one.problem) for one in walk(tmp_path)] == [unfinished, (("a",), None), (("b",), "is a link")]


@pytest.mark.parametrize(
    "odd",
    [
        {"power_user": 5, "extension_settings": [], "world_info_settings": None, "oai_settings": "x", "username": {}},
        {"power_user": {"personas": {"a": 5}, "persona_descriptions": []}, "extension_settings": {"regex": {}, "connectionManager": []}},
        {"extension_settings": {"regex": [None, 5], "connectionManager": {"profiles": [None, {}, {"name": 5, "api-url": "http://["}]}}},
        {"oai_settings": {"chat_completion_source": "custom", "custom_url": ["x"]}},
    ],
)
def test_settings_of_another_kind(odd: dict[str, Any]) -> None:
    """Whatever stands where something else belongs is left out."""
    settings = read_settings(odd, {"api_key_openai": 5}, "u")
    assert (settings.scripts, settings.channels) == ([], {})
