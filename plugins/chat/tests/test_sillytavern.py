"""SillyTavern's chats, with what is odd in real ones: read, written, and read again."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tavernkeep_chat.contracts import ChatError
from tavernkeep_chat.dates import moment_of
from tavernkeep_chat.sillytavern import ReadChat, read_chat
from tavernkeep_chat.sillytavern_out import written
from tavernkeep_chat.store import Session
from tavernkeep_chat.tree import MessageNode, Tree

NOW = "2026-01-02T03:04:05.000Z"
HEADER = {"user_name": "You", "character_name": "Ada", "create_date": "2024-6-19 @14h 20m 5s 123ms", "chat_metadata": {"note_depth": 4}}
HI = {"name": "You", "is_user": True, "is_system": False, "send_date": "June 19, 2024 2:20pm", "mes": "hi", "extra": {}}


def text(*lines: Any, end: str = "\n") -> str:
    return end.join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)


def read(*lines: Any) -> ReadChat:
    return read_chat(text(*lines), NOW)


def said(chat: ReadChat) -> list[str]:
    return [node.content for node in chat.tree.path()]


def plain(tree: Tree, *, raw: bool = True) -> Any:
    """A tree without its ids: each message with what answers it. With `raw`, what lines said beside it does not count."""

    def one(id_: str) -> Any:
        node = tree.nodes[id_]
        fields = {name: getattr(node, name) for name in ("role", "content", "created_at", "status", "is_enabled", "error")}
        fields["metadata"] = {key: value for key, value in (node.metadata or {}).items() if key != "sillytavern" or not raw}
        return fields, id_ == tree.active_leaf_id, [one(child) for child in node.children]

    return [one(root) for root in tree.root_node_ids]


def again(chat: ReadChat) -> tuple[ReadChat, list[str]]:
    session = Session("s", "p", chat.fields["title"], NOW, NOW, NOW, **{k: v for k, v in chat.fields.items() if k != "title"})
    data, left_out = written(session, chat.tree)
    return read_chat(data, NOW), left_out


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("June 19, 2024 2:20pm", "2024-06-19T14:20:00.000Z"),
        ("Jun 19, 2024 12:05 AM", "2024-06-19T00:05:00.000Z"),
        ("June 19, 2024 12:05 p.m.", "2024-06-19T12:05:00.000Z"),
        (1718806800123, "2024-06-19T14:20:00.123Z"),
        ("1718806800123", "2024-06-19T14:20:00.123Z"),
        (1718806800, "2024-06-19T14:20:00.000Z"),
        (1718806800.5, "2024-06-19T14:20:00.500Z"),
        ("2024-6-19 @14h 20m 5s 123ms", "2024-06-19T14:20:05.123Z"),
        ("2024-06-19@14h20m05s7ms", "2024-06-19T14:20:05.007Z"),
        ("2024-6-19@14h20m5s", "2024-06-19T14:20:05.000Z"),
        ("2024-6-19 @14h20m", "2024-06-19T14:20:00.000Z"),
        ("2024-06-19T14:20:05.123Z", "2024-06-19T14:20:05.123Z"),
        ("2024-06-19T16:20:05+02:00", "2024-06-19T14:20:05.000Z"),
        ("2024-06-19 14:20:05", "2024-06-19T14:20:05.000Z"),
        ("2024-06-19", "2024-06-19T00:00:00.000Z"),
        ("Wed Jun 19 2024 16:20:05 GMT+0200 (Central European Summer Time)", "2024-06-19T14:20:05.000Z"),
        ("Wed, 19 Jun 2024 14:20:05 GMT", "2024-06-19T14:20:05.000Z"),
        *((value, None) for value in [True, [], "soon", "", "June 31, 2024 2:20pm", "May 1, 2024 13:00pm", 0, -5, 1e300, "9" * 16]),
        *((value, None) for value in ("Foo 19, 2024", "2024-13-19 @14h 20m", float("inf"), "x" * 1000, "0001-01-01T00:00:00+14:00")),
    ],
)
def test_every_form_of_a_date(value: Any, moment: str | None) -> None:
    """All that SillyTavern has written is a time in UTC; anything else is none, and never an error."""
    assert moment_of(value) == moment


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \t\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lines_end_where_they_end(end: str, encoding: str) -> None:
    """U+2028, U+2029, U+0085 and a form feed are text, a mark of the byte order is none, an empty line is nothing."""
    odd = "a\u2028b\u2029c\u0085d\x0ce\x1ef"
    data = text(HEADER, HI | {"mes": odd}, HI, "", end=end).replace("\\f", "\x0c").replace("\\u001e", "\x1e").encode(encoding)
    chat = read_chat(data, NOW)
    assert (said(chat), chat.problems, chat.fields["title"]) == ([odd, "hi"], [], "Ada")


DEEP = '{"mes": "x", "extra": ' + "[" * 3000 + "]" * 3000 + "}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (HI | {"swipes": 5}, "its swipes are an integer"),
        (HI | {"swipes": {"0": "a"}}, "its swipes are an object"),
        (HI | {"mes": None}, "its mes is null"),
        (HI | {"mes": ["a"]}, "its mes is a list"),
        ({"name": "You", "is_user": True}, "it has no mes"),
        (HEADER, "it has no mes"),
        (DEEP, "nested"),
        (HI | {"extra": json.loads("[" * 150 + "]" * 150)}, "nested more than 100 levels"),
        ("{", "not valid JSON"),
        ("[1]", "it is a list"),
        ("null", "it is null"),
        ('{"mes": "a"} {"mes": "b"}', "not valid JSON"),
    ],
)
def test_a_line_of_the_wrong_form_is_named(line: Any, problem: str) -> None:
    """With its number, and left out; the others are there. Where there is no other, there is no chat, for that reason."""
    chat = read(HEADER, HI, "", line, HI | {"mes": "still here"})
    assert said(chat) == ["hi", "still here"]
    assert len(chat.problems) == 1
    assert chat.problems[0].startswith("line 4: left out: ")
    assert problem in chat.problems[0]
    if line is not HEADER:
        with pytest.raises(ChatError, match="line 1: left out"):
            read(line)


@pytest.mark.parametrize("data", [b"", b" \n\r\n", b"\xef\xbb\xbf", b"{}", b"\xff\xfe{", b"\x00\x00\x00\x00", b"\xff", b"hello", b"5"])
def test_what_is_no_chat(data: bytes) -> None:
    """Says so, whatever it is."""
    with pytest.raises(ChatError):
        read_chat(data, NOW)


def test_a_line_that_is_no_utf8() -> None:
    """Is named and left out, and the others are read."""
    chat = read_chat(text(HEADER, HI).encode() + b'\n{"mes": "\xff"}\n' + text(HI).encode(), NOW)
    assert (said(chat), chat.problems) == (["hi", "hi"], ["line 3: left out: it is not UTF-8 (invalid start byte at byte 9)"])


@pytest.mark.parametrize(
    ("fields", "role", "enabled"),
    [
        ({"is_user": True, "name": "You"}, "user", True),
        ({"is_user": True, "name": "You", "is_system": True}, "user", False),
        ({"is_user": True, "is_system": True}, "user", False),
        ({"is_user": False, "name": "Ada", "is_system": True}, "assistant", False),
        ({"is_user": "false", "name": "Ada", "is_system": "true"}, "assistant", False),
        ({"is_user": 1, "is_system": 0}, "user", True),
        ({"name": "Ada"}, "assistant", True),
        ({}, "assistant", True),
        ({"name": "SillyTavern System", "is_system": True}, "system", False),
        ({"name": "Note", "is_system": True, "extra": {"type": "comment"}}, "system", False),
        ({"name": "System", "is_system": False, "extra": {"type": "narrator"}}, "system", True),
        ({"name": "Ada", "is_system": True, "extra": {"type": "narrator"}}, "system", False),
        ({"is_system": True}, "system", True),
        ({"is_system": True, "name": ""}, "system", False),
    ],
)
def test_who_speaks_and_whether_it_counts(fields: dict[str, Any], role: str, enabled: bool) -> None:
    """A hidden message keeps its role and never counts; a message of a narrator is one to the model."""
    (node,) = read({"mes": "x", **fields}).tree.path()
    assert (node.role, node.is_enabled) == (role, enabled)


@pytest.mark.parametrize(
    ("fields", "texts", "shown", "named"),
    [
        ({"mes": "b", "swipes": ["a", "b", "c"], "swipe_id": 1}, ["a", "b", "c"], 1, False),
        ({"mes": "a", "swipes": ["a", "a", "a"], "swipe_id": 1}, ["a", "a", "a"], 1, False),
        ({"mes": "b", "swipes": ["a", "b"], "swipe_id": "1"}, ["a", "b"], 1, False),
        ({"mes": "a", "swipes": ["a", "b"], "swipe_id": 7}, ["a", "b"], 0, True),
        ({"mes": "a", "swipes": ["a", "b"], "swipe_id": -1}, ["a", "b"], 0, True),
        ({"mes": "a", "swipes": ["a", "b"], "swipe_id": "x"}, ["a", "b"], 0, True),
        ({"mes": "a", "swipes": ["a", "b"], "swipe_id": 1e400}, ["a", "b"], 0, False),
        ({"mes": "a", "swipes": ["a", "b"]}, ["a", "b"], 0, False),
        ({"mes": "edited", "swipes": ["a", "b"], "swipe_id": 0}, ["a", "b", "edited"], 2, True),
        ({"mes": "b", "swipes": [None, "b", {}, 7], "swipe_id": 1}, ["b", "7"], 0, True),
        ({"mes": "a", "swipes": []}, ["a"], 0, False),
        ({"mes": "a", "swipes": None, "swipe_info": 5}, ["a"], 0, True),
        ({"mes": 5, "swipes": [5, 6], "swipe_id": 0.0}, ["5", "6"], 0, False),
    ],
)
def test_swipes_are_branches(fields: dict[str, Any], texts: list[str], shown: int, named: bool) -> None:
    """Each is one, in their order; the chosen one goes on, and what is wrong with the choice is named."""
    chat = read(HEADER, HI, HI | fields, HI | {"mes": "on"})
    first = chat.tree.nodes[chat.tree.root_node_ids[0]]
    answers = [chat.tree.nodes[id_] for id_ in first.children]
    assert [node.content for node in answers] == texts
    assert [bool(node.children) for node in answers] == [place == shown for place in range(len(texts))]
    assert said(chat) == ["hi", texts[shown], "on"]
    assert bool(chat.problems) == named


def test_what_is_said_beside_swipes() -> None:
    """Each has its own date and extras; what has none has that of the line; an unknown date is that of the message before."""
    infos = [{"send_date": "June 20, 2024 2:20pm", "extra": {"model": "m1"}}, None]
    chat = read(HI, HI | {"mes": "c", "swipes": ["a", "b", "c"], "swipe_id": 2, "swipe_info": infos}, HI | {"send_date": "soon"})
    first = chat.tree.nodes[chat.tree.root_node_ids[0]]
    dates = [chat.tree.nodes[id_].created_at for id_ in first.children]
    assert dates == ["2024-06-20T14:20:00.000Z", "2024-06-19T14:20:00.000Z", "2024-06-19T14:20:00.000Z"]
    assert (chat.tree.nodes[first.children[0]].metadata or {})["sillytavern"]["swipe"]["extra"] == {"model": "m1"}
    assert chat.tree.path()[-1].created_at == "2024-06-19T14:20:00.000Z"
    assert chat.problems == ["line 3: its send_date 'soon' is in no form that is known"]


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ([HEADER, HI], "Ada"),
        ([{**HEADER, "character_name": "unused"}, HI, {"mes": "x", "name": "Bo\u202eb\n"}], "Bo\u202eb\n"),
        ([{**HEADER, "character_name": 7}, HI], "7"),
        ([{**HEADER, "character_name": "x" * 1000}, HI], "x" * 200),
        ([{"chat_metadata": {}}], "Imported chat"),
        ([{"chat_metadata": 5, "character_name": None}, HI | {"name": 5}], "Imported chat"),
        ([{"mes": "x", "name": "Ada", "original_avatar": "Ada.png"}, {"mes": "y", "name": "Bob", "is_group": True}], "Ada"),
    ],
)
def test_headers(lines: list[Any], title: str) -> None:
    """There may be one or none, as with the chats of groups; a chat with a header alone is an empty one."""
    chat = read(*lines)
    assert (chat.fields["title"], chat.problems) == (title, [])
    assert len(chat.tree.nodes) == len([line for line in lines if "mes" in line])


def test_sizes_are_bounded() -> None:
    """Too many lines, or too many swipes, are no chat; problems without end are counted once."""
    with pytest.raises(ChatError, match="more than 200000 lines"):
        read_chat("\n" * 200_001, NOW)
    with pytest.raises(ChatError, match="more than 100000 messages"):
        read(HI | {"swipes": [""] * 100_001})
    chat = read(HI, *["x"] * 3000)
    assert (len(chat.problems), chat.problems[-1]) == (1001, "and more of that kind")


def test_half_a_character_and_numbers_that_are_none() -> None:
    """Are read as those read them who write them; nothing of it fails later."""
    chat = read(HEADER, '{"mes": "a\\ud83d", "name": 5, "extra": {"x": NaN}}', '{"mes": "line\tend", "extra": null}')
    assert said(chat) == ["a?", "line\tend"]
    assert again(chat)[1] == []


FOREIGN: list[list[dict[str, Any]]] = [
    [HEADER, HI],
    [
        {**HEADER, "chat_metadata": {"note_prompt": "x", "integrity": "1", "main_chat": "Ada - 1"}},
        HI | {"extra": {"bookmark_link": "Branch #1", "isSmallSys": False}},
        {
            "name": "Ada",
            "is_user": False,
            "is_system": False,
            "send_date": 1718806800123,
            "mes": "b",
            "extra": {"api": "x", "model": "m", "reasoning": "r"},
            "gen_started": "2024",
            "swipe_id": 1,
            "swipes": ["a", "b"],
            "swipe_info": [{"send_date": "June 19, 2024 2:21pm", "extra": {}}, {"send_date": 1718806800123, "extra": {"model": "m"}}],
            "force_avatar": "/thumbnail?file=a.png",
        },
        HI | {"is_system": True, "mes": "hidden"},
        {"name": "Ada", "is_user": False, "is_system": True, "send_date": "2024-6-19 @14h 20m 5s 123ms", "mes": "hidden too", "extra": {}},
        {"name": "System", "is_user": False, "is_system": False, "send_date": "", "mes": "n", "extra": {"type": "narrator"}},
        {
            "name": "Ada",
            "is_user": False,
            "send_date": "June 19, 2024 2:25pm",
            "mes": "x",
            "swipes": ["x"],
            "swipe_id": 0,
            "variables": [{}],
        },
        {"name": "Ada", "is_user": False, "send_date": "June 19, 2024 2:26pm", "mes": "y", "swipe_id": 0, "swipes": ["y", "z"]},
    ],
    [
        {"name": "Ada", "is_user": False, "send_date": "June 19, 2024 2:25pm", "mes": "group", "original_avatar": "Ada.png", "extra": {}},
        HI,
    ],
]


@pytest.mark.parametrize("lines", FOREIGN)
def test_what_came_in_goes_out_as_it_was(lines: list[Any]) -> None:
    """Line by line, with all that only SillyTavern knows of; and what is read again is the same tree."""
    chat = read(*lines)
    data, left_out = written(Session("s", "p", chat.fields["title"], NOW, NOW, NOW, type="roleplay"), chat.tree)
    assert ([json.loads(line) for line in data.splitlines()], left_out) == (lines, [])
    assert plain(again(chat)[0].tree) == plain(chat.tree)


def test_what_was_read_wrongly_written_comes_back_as_it_was_read() -> None:
    """What was made of odd lines is written, and read as the same tree."""
    odd = [
        HI | {"mes": "edited", "swipes": ["a", None], "swipe_id": 9},
        {"mes": "no date, no name"},
        HI | {"send_date": "soon", "extra": 5, "is_system": "yes"},
        {"mes": "b", "swipes": ["b", "b"], "swipe_id": "1", "swipe_info": [5, {"extra": 7}]},
    ]
    for lines in ([HEADER, *odd], odd):
        chat = read(*lines)
        assert plain(again(chat)[0].tree) == plain(chat.tree)


def test_a_branch_that_is_taken_later_goes_out_with_what_was_said_of_it() -> None:
    """The swipes stay in their order, and each has its own date."""
    chat = read(*FOREIGN[1][:3])
    answers = chat.tree.nodes[chat.tree.root_node_ids[0]].children
    chat.tree.activate(answers[0])
    data, _ = written(Session("s", "p", "Ada", NOW, NOW, NOW, type="roleplay"), chat.tree)
    line = json.loads(data.splitlines()[-1])
    assert (line["mes"], line["swipes"], line["swipe_id"], line["force_avatar"]) == ("a", ["a", "b"], 0, "/thumbnail?file=a.png")
    assert (line["send_date"], line["extra"], "gen_started" in line) == ("June 19, 2024 2:21pm", {}, False)
    assert plain(again(chat)[0].tree) == plain(chat.tree)


def test_what_has_no_place_is_named() -> None:
    """Messages below other answers, or in another role, or behind the active one; what an answer says stays, as a swipe."""
    tree = Tree("s")
    for id_, parent, role in (("a", None, "user"), ("b", "a", "assistant"), ("c", "a", "assistant"), ("d", "a", "user")):
        tree.add(MessageNode(id_, parent, role, id_, NOW))  # type: ignore[arg-type]
    for id_, parent in (("e", "b"), ("f", "c"), ("g", "f")):
        tree.add(MessageNode(id_, parent, "user", id_, NOW))
    tree.activate("f")
    data, left_out = written(Session("s", "p", "t", NOW, NOW, NOW), tree)
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["mes"] for line in lines[1:]] == ["a", "c", "f"]
    assert lines[2]["swipes"] == ["b", "c"]
    named = [
        "1 messages in branches that begin in another role than the one taken",
        "2 messages below answers that the conversation does not go through",
    ]
    assert left_out == lines[0]["chat_metadata"]["tavernkeep"]["leftOut"] == named
    assert read_chat(data, NOW).problems == [f"in the export: {one}" for one in named]


@pytest.mark.parametrize(
    "line", [{"mes": "x"}, {"mes": "x", "name": "Note"}, {"mes": "x", "name": None}, HI, {"mes": "x", "is_system": True}]
)
def test_what_is_hidden_later_stays_hidden(line: dict[str, Any]) -> None:
    """Whatever the line said of its author, a message that was switched off here comes back in its role, and switched off."""
    chat = read(line)
    (node,) = chat.tree.path()
    node.is_enabled = False
    (back,) = again(chat)[0].tree.path()
    assert (back.role, back.is_enabled) == (node.role, False)


def test_where_no_message_is_active_the_last_is() -> None:
    """As after the active one was removed: the chat does not go out empty."""
    chat = read(*FOREIGN[1])
    chat.tree.active_leaf_id = None
    assert (said(again(chat)[0]), again(chat)[1]) == (["hi", "b", "hidden", "hidden too", "n", "x", "z"], [])


def test_marks_of_another_kind_change_nothing() -> None:
    """What stands under our names and is not ours is named, and nothing else comes of it; what is hidden stays so."""
    chat = read(
        {"chat_metadata": {"tavernkeep": {"session": {"title": 5, "type": "king"}, "metadata": 7, "leftOut": 3}}},
        HI | {"is_system": True, "extra": {"tavernkeep": {"status": "king", "isEnabled": True}}},
        HI | {"is_system": True, "extra": {"tavernkeep": {"isEnabled": True}}},
        HI | {"extra": {"tavernkeep": {"status": "generating"}}},
        HI | {"extra": {"tavernkeep": 5}},
    )
    shown = [(node.status, node.is_enabled) for node in chat.tree.path()]
    assert shown == [("complete", False), ("complete", False), ("complete", True), ("complete", True)]
    assert len(chat.problems) == 2


TEXTS = st.text(max_size=5)
NODES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["user", "assistant", "system"]),
        TEXTS,
        st.booleans(),
        st.sampled_from(["complete", "error"]),
        st.none() | st.dictionaries(st.sampled_from(["name", "model", "sillytavern"]), TEXTS | st.integers(0, 9), max_size=2),
        st.sampled_from([NOW, "2025-02-03T04:05:06.789Z", "", "yesterday"]),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(NODES)
@example([(0, "assistant", "hidden", False, "complete", {"name": name}, NOW) for name in ("", "Note", "Ada")])
def test_a_chat_written_here_comes_back(nodes: list[Any]) -> None:
    """Any conversation whose other branches are single answers in the same role is read back equal, whatever is in it."""
    tree = Tree("s", metadata={"title": "x", "mood": "y"})
    levels: list[list[str]] = []
    for number, (where, role, content, enabled, status, metadata, at) in enumerate(nodes):
        beside = where % 3 != 0 and levels
        parent = tree.nodes[levels[-1][0]].parent_id if beside else levels[-1][where % len(levels[-1])] if levels else None
        node = MessageNode(str(number), parent, role, content, at, status, enabled, metadata=metadata)
        if beside:
            node.role = tree.nodes[levels[-1][0]].role
            levels[-1].append(node.id)
        else:
            levels.append([node.id])
        tree.add(node)
    session = Session("s", "p", "A title", NOW, NOW, NOW, "task", "about", tags=["x"], settings={"a": 1})
    data, left_out = written(session, tree)
    back = read_chat(data, "2020-01-01T00:00:00.000Z")
    assert (plain(back.tree, raw=False), left_out, back.problems, back.tree.metadata) == (plain(tree, raw=False), [], [], {"mood": "y"})
    assert back.fields == {"title": "A title", "type": "task", "description": "about", "tags": ["x"], "settings": {"a": 1}}
