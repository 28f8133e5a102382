"""Bad rows are named by line before anything is written, or left out and listed."""

import json

import pytest
from board_files import IMAGES, TAGS, USERS, Files
from small_board import SmallBoard

from orchestrator.board_import.files import BadBoardFile, Kind
from orchestrator.board_import.service import Options
from orchestrator.errors import Conflict
from orchestrator.store.import_runs import Counts
from orchestrator.store.named_lock import NamedLock

pytestmark = pytest.mark.anyio

TAG = "external_id,title,type,alias_of,parent\n"
IMAGE = "external_id,url,uploader,sha256,uploaded_at,status\n"

BAD = [
    (Kind.TAGS, TAG + "x,a,theme,,\n", {2: "external_id is 'x'"}),
    (Kind.TAGS, TAG + ",a,theme,,\n", {2: "external_id is missing"}),
    (Kind.TAGS, TAG + "0,a,theme,,\n", {2: "above 0"}),
    (Kind.TAGS, TAG + "99999999999999999999,a,theme,,\n", {2: "a number above 0"}),
    (Kind.TAGS, TAG + '1," ",theme,,\n', {2: "1 to 255"}),
    (Kind.TAGS, TAG + "1,a,topic,,\n", {2: "theme, character, source, artist"}),
    (Kind.TAGS, TAG + "1,a,theme,,\n1,b,theme,,\n", {3: "stands in another row"}),
    (Kind.TAGS, TAG + "1,a,theme,,\n2,a,theme,,\n", {3: "line 2 already"}),
    (Kind.TAGS, TAG + "1,a,theme,9,\n", {2: "alias_of is 9"}),
    (Kind.TAGS, TAG + "1,a,theme,,9\n", {2: "parent is 9"}),
    (Kind.TAGS, TAG + "1,a,theme,2,\n2,b,theme,1,\n", {2: "circle", 3: "circle"}),
    (Kind.TAGS, TAG + "1,a,theme,1,\n", {2: "circle"}),
    (Kind.TAGS, TAG + "1,a,theme,2,\n2,b,artist,,\n", {2: "of one type"}),
    (Kind.TAGS, TAG + "1,a,theme,,2\n2,b,theme,,1\n3,c,theme,,1\n", {2: "circle", 3: "circle", 4: "refused"}),
    (Kind.TAGS, TAG + "1,a,theme,,2\n2,b,artist,,\n", {2: "of one type"}),
    (Kind.TAGS, TAG + "1,a,theme,2,2\n2,b,theme,,\n", {2: "no parent"}),
    (Kind.TAGS, TAG + "1,a,theme,,2\n2,b,theme,3,\n3,c,theme,,\n", {2: "is an alias"}),
    (Kind.TAGS, TAG + "1,a,theme\n2,b,theme,,\n", {2: "3 fields, the header has 5"}),
    (Kind.TAGS, TAG + '1,"a\nb",theme,,\n2,c,none,,\n', {4: "type is"}),
    (
        Kind.TAGS,
        TAG + "".join(f"{n},t{n},theme,,{n + 1}\n" for n in range(1, 34)) + "34,t34,theme,,\n",
        {2: "deeper than 32"},
    ),
    (Kind.USERS, "external_id,name,role\n1,,\n2,b,king\n", {2: "1 to 100", 3: "uploader, tagger"}),
    (Kind.USERS, "external_id,name\n1,Zoe\n2,ZOÉ\n", {3: "that of user 1"}),
    (Kind.USERS, "external_id,name\n1,the tagger\n2,The Tagger\n", {3: "that of user 1"}),
    (Kind.IMAGES, IMAGE + "1,,11,,,\n", {2: "url or by path"}),
    (Kind.IMAGES, IMAGE + "1,ftp://a/b,11,,,\n", {2: "only http and https"}),
    (Kind.IMAGES, IMAGE + "1,https://a/b,77,,,\n", {2: "nobody has"}),
    (Kind.IMAGES, IMAGE + "1,https://a/b,11,12,,\n", {2: "64 hexadecimal"}),
    (Kind.IMAGES, IMAGE + "1,https://a/b,11,,yesterday,\n", {2: "uploaded_at is"}),
    (Kind.IMAGES, IMAGE + "1,https://a/b,11,,,gone\n", {2: "active, spoiler"}),
    (Kind.IMAGES, IMAGE + "1,https://a/b,11,,,\n1,https://a/b,11,,,\n", {3: "stands in another row"}),
    (
        Kind.LINKS,
        "image,tag,by\n1,101,\n900,9,\n900,101,77\n900,101,\n",
        {2: "no image", 3: "no tag", 4: "nobody"},
    ),
]


@pytest.mark.parametrize("kind", list(Kind))
async def test_bad_rows_are_named_by_line_and_nothing_is_written(
    board: SmallBoard, files: Files, kind: Kind
) -> None:
    # Given a board, and a bad file
    await board.register(external_id=900)
    if kind is not Kind.USERS:
        files.write(Kind.USERS, [{"external_id": 11, "name": "mira"}])
    before = await files.rows()
    for text, says in [(text, says) for of, text, says in BAD if of is kind]:
        files.write_text(kind, text)
        # When it is checked
        problems = (await files.check())[kind].problems
        # Then exactly these lines are bad
        assert problems.keys() == says.keys(), (text, problems)
        for line, part in says.items():
            assert part in problems[line], text
    # And an import of all the files is refused
    with pytest.raises(BadBoardFile, match="nothing was imported"):
        await files.run()
    assert await files.rows() == before


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("tags.csv", "external_id,title\n", "no column type"),
        ("tags.csv", "external_id,title,type,colour\n", "'colour' is unknown"),
        ("tags.csv", "external_id,title,type,title\n", "stands twice"),
        ("tags.csv", 'external_id,title,type\n1,"a', "no CSV"),
        ("tags.txt", "", "neither in .csv nor in .jsonl"),
        ("tags.csv.gz", "external_id", "unpacked"),
        ("tags.csv", "external_id,title,type\n1,a,theme\n2,caf\udce9,theme\n", "line 3: this is no UTF-8"),
    ],
)
async def test_a_file_that_is_none_is_refused(files: Files, name: str, text: str, says: str) -> None:
    path = files.folder / name
    path.write_bytes(text.encode(errors="surrogateescape"))
    files.paths[Kind.TAGS] = path
    with pytest.raises(BadBoardFile, match=says):
        await files.check()


async def test_lines_of_json_are_named_too(files: Files) -> None:
    lines = ["{", "[1]", '{"colour": 1}', '{"external_id": 1, "title": "\\ud800", "type": "theme"}', ""]
    good = '{"external_id": 1, "title": "a", "type": "theme"}'
    files.write_text(Kind.TAGS, "\n".join([*lines, good, ""]), "jsonl")
    problems = (await files.check())[Kind.TAGS].problems
    assert problems.keys() == {1, 2, 3, 4}
    assert "no JSON" in problems[1]
    assert "colour" in problems[3]
    assert "surrogate" in problems[4]


async def test_bad_rows_can_be_left_out_and_are_listed(files: Files) -> None:
    # Given files with bad rows, and good ones that need them
    tags = [*TAGS, {"external_id": 8, "title": "x", "type": "topic"}]
    tags.append({"external_id": 9, "title": "y", "type": "theme", "parent": 8})
    images = [*IMAGES, {"external_id": 104, "url": "https://board.example/104.jpg", "uploader": 99}]
    links = [{"image": 104, "tag": 1}, {"image": 101, "tag": 8}, {"image": 101, "tag": 1}]
    for kind, rows in ((Kind.TAGS, tags), (Kind.USERS, USERS), (Kind.IMAGES, images), (Kind.LINKS, links)):
        files.write(kind, rows)
    # When bad rows are to be left out
    counts = await files.run(Options(skip_bad=True, chunk=2))
    # Then the others are there
    assert counts[Kind.TAGS] == Counts(new=7, refused=2)
    assert counts[Kind.IMAGES] == Counts(new=3, refused=1)
    assert counts[Kind.LINKS] == Counts(new=1, refused=2)
    # And a file beside says which were left out, and why
    listed = [json.loads(line) for line in (files.folder / "tags.csv.rejects.jsonl").read_text().splitlines()]
    assert [(one["line"], one["row"]["title"]) for one in listed] == [(9, "x"), (10, "y")]
    assert "neither the board nor the file" in listed[1]["problem"]
    await files.assert_consistent()


async def test_two_imports_at_once_are_refused(files: Files) -> None:
    files.write(Kind.TAGS, TAGS)
    other = NamedLock(files.settings, "board_import")
    assert await other.hold()
    with pytest.raises(Conflict) as refusal:
        await files.run()
    assert refusal.value.code == "import_under_way"
    await other.release()
    assert await files.run() == {Kind.TAGS: Counts(new=7)}
