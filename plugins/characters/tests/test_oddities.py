"""Cards as people have them: the kind of source, what stands there, what is read."""

import base64
import io
import json
import tracemalloc
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from support.cards import chunk, png
from tavernkeep_characters.cards import read_card, write_card
from tavernkeep_characters.contracts import CardError, CardTooLarge
from tavernkeep_characters.fields import card_data
from tavernkeep_characters.library import characters_in

ADA = {"name": "Ada", "description": "¿>Keeps? ~ÿ~ a 酒馆 🍺."}
BO = {"name": "Bo"}


def encoded(card: Any) -> bytes:
    return base64.b64encode(json.dumps(card, ensure_ascii=False).encode())


ENCODED = encoded(ADA)
UNPADDED = next(made for blanks in range(3) if (made := encoded(ADA | {"chat": " " * blanks})).endswith(b"="))


def with_chunks(*chunks: bytes) -> bytes:
    whole = png()
    return whole[:-12] + b"".join(chunks) + whole[-12:]


def text(key: bytes, body: bytes) -> bytes:
    return chunk(b"tEXt", key + b"\0" + body)


def packed(key: bytes, body: bytes) -> bytes:
    return chunk(b"zTXt", key + b"\0\0" + zlib.compress(body))


def international(key: bytes, body: bytes, compressed: bool = False) -> bytes:
    return chunk(
        b"iTXt", key + b"\0" + (b"\1" if compressed else b"\0") + b"\0en\0" + key + b"\0" + (zlib.compress(body) if compressed else body)
    )


def damaged(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def photo(
    kind: str, *, comment: bytes | None = None, misplaced: bytes | None = None, description: str | None = None, xmp: bytes | None = None
) -> bytes:
    out, exif = io.BytesIO(), Image.Exif()
    if comment is not None:
        exif.get_ifd(0x8769)[0x9286] = comment
    if misplaced is not None:
        exif[0x9286] = misplaced  # beside the part for it, where some programs write it
    if description is not None:
        exif[0x010E] = description
    Image.new("RGB", (2, 2)).save(out, kind, exif=exif, **({"xmp": xmp} if xmp else {}))
    return out.getvalue()


def archive(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return out.getvalue()


CHARX = archive({"assets/icon/main.png": b"x", "card.json": json.dumps({"spec": "chara_card_v3", "data": ADA}).encode()})
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description card:chara="{}"><dc:title>A picture</dc:title></rdf:Description></x:xmpmeta>'

READ = {
    "zTXt": with_chunks(packed(b"chara", ENCODED)),
    "iTXt": with_chunks(international(b"chara", ENCODED)),
    "iTXt, packed": with_chunks(international(b"ccv3", ENCODED, compressed=True)),
    "a key in capitals": with_chunks(text(b"CCV3", ENCODED)),
    "a key with a blank": with_chunks(text(b"Chara ", ENCODED)),
    "lines in base64": with_chunks(text(b"chara", base64.encodebytes(base64.b64decode(ENCODED)).replace(b"\n", b"\r\n"))),
    "the other alphabet": with_chunks(text(b"chara", base64.urlsafe_b64encode(base64.b64decode(ENCODED)))),
    "no padding": with_chunks(text(b"chara", UNPADDED.rstrip(b"="))),
    "byte order mark inside": with_chunks(text(b"chara", base64.b64encode(b"\xef\xbb\xbf" + base64.b64decode(ENCODED)))),
    "byte order mark outside": with_chunks(text(b"chara", b"\xef\xbb\xbf" + ENCODED)),
    "JSON without base64": with_chunks(international(b"chara", json.dumps(ADA).encode())),
    "an unreadable ccv3": with_chunks(text(b"ccv3", b"!!"), text(b"chara", ENCODED)),
    "an unreadable chara first": with_chunks(text(b"chara", b"e30"), text(b"chara", b"W10="), text(b"ccv3", ENCODED)),
    "two of a key": with_chunks(text(b"chara", b"W10="), text(b"chara", ENCODED)),
    "a damaged chunk": with_chunks(damaged(text(b"ccv3", encoded(BO))), text(b"chara", ENCODED)),
    "a broken packed chunk": with_chunks(chunk(b"zTXt", b"ccv3\0\0no zlib"), text(b"chara", ENCODED)),
    "a packed chunk cut off": with_chunks(chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(encoded(BO))[:-6]), text(b"chara", ENCODED)),
    "a text of gigabytes": with_chunks(chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(b"A" * (17 << 20))), text(b"chara", ENCODED)),
    "JPEG, EXIF": photo("JPEG", comment=b"ASCII\0\0\0" + ENCODED),
    "JPEG, a description": photo("JPEG", description=ENCODED.decode()),
    "WebP, EXIF": photo("WEBP", comment=b"\0" * 8 + ENCODED),
    "WebP, EXIF in UTF-16": photo("WEBP", comment=b"UNICODE\0" + json.dumps(ADA).encode("utf-16-le")),
    "JPEG, EXIF in the first part": photo("JPEG", misplaced=b"ASCII\0\0\0" + ENCODED),
    "WebP, numbers": photo("WEBP", comment=b"ASCII\0\0\0" + ",".join(map(str, json.dumps(ADA).encode())).encode()),
    "WebP, XMP": photo("WEBP", xmp=XMP.format(ENCODED.decode()).encode()),
    "JPEG, XMP of JSON": photo("JPEG", xmp=XMP.format(json.dumps(ADA).replace('"', "&quot;").replace(">", "&gt;")).encode()),
    "charx": CHARX,
    "charx behind a picture": photo("JPEG") + CHARX,
    "JSON with line ends in texts": b'{"name": "Ada", "description": "' + ADA["description"].encode() + b'", "scenario": "a\nb"}',
    "JSON in UTF-16": json.dumps(ADA).encode("utf-16"),
    "JSON with NaN": json.dumps(ADA | {"talkativeness": float("nan")}).encode(),
}


@pytest.mark.parametrize("source", READ.values(), ids=READ.keys())
def test_where_a_card_stands(source: bytes) -> None:
    """Whatever other readers read a card from is read; what is broken beside it does not hide it."""
    fields = card_data(read_card(source))
    assert (fields["name"], fields["description"]) == (ADA["name"], ADA["description"])


REFUSED = {
    "a photo without a card": (photo("JPEG", comment=b"ASCII\0\0\0Holidays", xmp=XMP.format("").encode()), "no character card"),
    "a broken photo": (b"\xff\xd8\xff\xe0junk", "cannot be read"),
    "an archive without a card": (archive({"module.risum": b"x"}), r"no card\.json"),
    "an archive cut off": (CHARX[:-30], "cannot be read"),
    "a packing that is not read": (archive({"card.json": b"{}"}, zipfile.ZIP_LZMA), "packed in a way"),
    "an archive that unpacks to more than memory": (archive({"card.json": b" " * (17 << 20)}), "longer than"),
    "an archive of endless files": (b"PK\x03\x04" + b"PK\x01\x02" * 10_001, "more than"),
    "numbers that are no bytes": (with_chunks(text(b"chara", b"999,999")), "no bytes"),
    "nested too deeply": (b"[" * 100_000, "deep"),
    "a text that is damaged": (with_chunks(damaged(text(b"chara", ENCODED))), "damaged"),
}


@pytest.mark.parametrize(("source", "mention"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_read_says_why(source: bytes, mention: str) -> None:
    """And nothing is unpacked beyond its bound."""
    with pytest.raises(CardError, match=mention):
        read_card(source)


def test_of_many_packed_texts_no_more_is_unpacked_than_one_picture_may_hold() -> None:
    """A few bytes each, and megabytes unpacked: none of them is kept, and others under another name are not looked at."""
    bomb = zlib.compress(b"\n" * (12 << 20))
    many = with_chunks(
        *(chunk(b"zTXt", b"ccv3\0\0" + bomb) for _ in range(70)), *(chunk(b"zTXt", b"Comment\0\0" + bomb) for _ in range(70))
    )
    tracemalloc.start()
    try:
        with pytest.raises(CardError):
            read_card(many)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(CardTooLarge):
        read_card(b'{"name": "' + b"A" * (16 << 20) + b'"}')


@pytest.mark.parametrize(
    ("card", "wanted"),
    [
        ({"name": "Old", "data": None}, {"name": "Old"}),
        ({"name": "Old", "data": {}}, {"name": "Old"}),
        ({"name": "Out", "scenario": "inn", "data": {"name": "In", "scenario": None}}, {"name": "In", "scenario": "inn"}),
        (
            {"data": {"name": 1984, "character_version": 1.5, "creator": True}},
            {"name": "1984", "character_version": "1.5", "creator": "true"},
        ),
        ({"name": "A", "tags": "inn, old ,", "alternate_greetings": None}, {"name": "A", "tags": ["inn", "old"]}),
        ({"name": "A", "tags": ["inn", 7, None]}, {"name": "A", "tags": ["inn", "7"]}),
        ({"name": "A", "description": ["one", "two"]}, {"name": "A", "description": "one\ntwo"}),
        ({"name": "A", "description": {"no": "text"}, "extensions": "x"}, {"name": "A"}),
        ({"char_name": "A", "char_greeting": "hi"}, {"name": "A", "first_mes": "hi"}),
    ],
)
def test_fields_have_their_kind(card: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A number is the text that stands there, `null` is absent, the inner field wins over the outer one."""
    fields = card_data(card)
    assert {key: fields.get(key) for key in wanted} == wanted
    assert not {key for key in set(card) - set(wanted) if key in fields and not key.startswith("char_")}


def test_writing_leaves_no_other_card_behind() -> None:
    """Whatever kind of chunk the old ones stood in; other texts stay; both kinds of readers find the new one."""
    picture = with_chunks(text(b"Comment", b"hi"), packed(b"CCV3", ENCODED), international(b"chara", ENCODED), text(b"Chara", ENCODED))
    written = write_card(picture, {"spec": "chara_card_v2", "data": BO | {"extensions": {"mine": 1}}})
    assert card_data(read_card(written)) == BO | {"extensions": {"mine": 1}}
    assert ENCODED not in written
    assert zlib.compress(ENCODED) not in written
    assert b"Comment\0hi" in written
    assert written.lower().count(b"chara\0") == written.lower().count(b"ccv3\0") == 1
    assert read_card(written.replace(b"ccv3\0", b"none\0"))["spec"] == "chara_card_v2"
    with Image.open(io.BytesIO(written)) as image:
        image.verify()
    for wrong in (b"GIF89a", picture[:-5]):
        with pytest.raises(CardError):
            write_card(wrong, BO)


def test_a_library_of_all_kinds(tmp_path: Path) -> None:
    """Endings in any case; two pictures of one name are two characters; odd fields are listed as what they should be."""
    (tmp_path / "ada.PNG").write_bytes(with_chunks(text(b"chara", encoded(ADA | {"fav": "false", "talkativeness": "0.5", "chat": 12}))))
    (tmp_path / "ada.webp").write_bytes(photo("WEBP", comment=b"ASCII\0\0\0" + encoded(BO)))
    (tmp_path / "cy.Charx").write_bytes(archive({"card.json": json.dumps({"data": {"name": 5, "tags": "x"}}).encode()}))
    shown = {entry["imageName"]: entry for entry in (character.shown() for character in characters_in(tmp_path, 1 << 20))}
    assert {name: entry["name"] for name, entry in shown.items()} == {"ada.PNG": "Ada", "ada.webp": "Bo", "": "5"}
    assert len({entry["id"] for entry in shown.values()}) == 3
    assert {"favorite": False, "talkativeness": 0.5, "chat": "12"}.items() <= shown["ada.PNG"].items()
    assert shown[""]["tags"] == ["x"]
