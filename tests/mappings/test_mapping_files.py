"""Mapping files: what is read, what is refused, and that nothing is lost on the way out and in again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping_tools.plan import as_rows, compare
from mapping_tools.rows import BadMappingFile, MappingRow, read_rows, write_rows
from orchestrator.records import MappingAction, Tag, TagMapping, TagType

HEADER = "danbooru_tag,internal_tag_title,action\n"

TAGS = (
    Tag(1, 101, "long hair", TagType.THEME),
    Tag(2, 102, "blue eyes", TagType.THEME),
    Tag(3, 103, "Mercury", TagType.CHARACTER),
    Tag(4, 104, "Mercury", TagType.SOURCE),
)


def test_the_plans_own_columns_are_enough() -> None:
    # Given a file with the three columns of the plan
    # When it is read
    rows = read_rows(HEADER + "long_hair,long hair,map\n1girl,,ignore\n")
    # Then both actions are understood, with full weight and Danbooru as the source
    assert [(row.external_tag, row.title, row.action) for row in rows] == [
        ("long_hair", "long hair", MappingAction.MAP),
        ("1girl", None, MappingAction.IGNORE),
    ]
    assert {(row.weight, row.source) for row in rows} == {(10_000, "danbooru")}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("long_hair,,map", "names no internal_tag_title"),
        ("1girl,one girl,ignore", "is to be ignored but names"),
        ("long_hair,long hair,delete", "use map or ignore"),
        (",long hair,map", "danbooru_tag is empty"),
        ("long_hair,long hair", "number of fields"),
        ("long_hair,long hair,map,extra", "number of fields"),
        ("x" * 256 + ",long hair,map", "longer than 255"),
    ],
)
def test_a_bad_line_is_named(line: str, complaint: str) -> None:
    # Given a file whose third line is wrong, and its fifth as well
    text = HEADER + f"smile,smile,map\n{line}\nblush,blush,map\n{line}\n"
    # When it is read
    with pytest.raises(BadMappingFile) as refusal:
        read_rows(text)
    # Then both lines are named, and what is wrong with them
    assert [problem.split(":")[0] for problem in refusal.value.problems][:2] == ["line 3", "line 5"]
    assert complaint in refusal.value.problems[0]


@pytest.mark.parametrize("weight", ["0", "-1", "1.1", "nan", "much", "0.00001"])
def test_a_weight_is_a_ten_thousandth_to_1(weight: str) -> None:
    text = "danbooru_tag,internal_tag_title,action,weight\n" + f"smile,smile,map,{weight}\n"
    with pytest.raises(BadMappingFile, match="line 2: the weight"):
        read_rows(text)


@pytest.mark.parametrize("source", ["s" * 33, "dänbooru"])
def test_a_source_is_a_short_ascii_name(source: str) -> None:
    text = "danbooru_tag,internal_tag_title,action,source\n" + f"smile,smile,map,{source}\n"
    with pytest.raises(BadMappingFile, match="line 2: the source"):
        read_rows(text)


def test_a_header_that_is_no_csv_is_named() -> None:
    with pytest.raises(BadMappingFile, match="line 1: this is no CSV"):
        read_rows('danbooru_tag,"internal_tag_title,action\nsmile,smile,map\n')


def test_an_external_tag_stands_once() -> None:
    with pytest.raises(BadMappingFile, match="line 4: smile stands in line 2 already"):
        read_rows(HEADER + "smile,smile,map\nblush,blush,map\nsmile,grin,map\n")


@pytest.mark.parametrize(
    "header",
    [
        "danbooru_tag,action",
        "danbooru_tag,internal_tag_title,action,colour",
        "danbooru_tag,internal_tag_title,action,action",
    ],
)
def test_missing_unknown_and_repeated_columns_are_refused(header: str) -> None:
    with pytest.raises(BadMappingFile, match="line 1: the column"):
        read_rows(header + "\n")


_NAMES = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from(" ,\"'"), min_size=1, max_size=30
).filter(lambda name: name == name.strip())


_SOURCES = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1, max_size=32)


@given(
    st.lists(
        st.tuples(
            _NAMES,
            _NAMES | st.none(),
            st.sampled_from(TagType) | st.none(),
            st.integers(1, 10_000),
            _SOURCES,
        ),
        unique_by=lambda row: (row[4], row[0]),
        max_size=20,
    )
)
def test_what_is_written_is_read_back_the_same(
    parts: list[tuple[str, str | None, TagType | None, int, str]],
) -> None:
    rows = tuple(
        MappingRow(
            line=line,
            source=source,
            external_tag=name,
            action=MappingAction.IGNORE if title is None else MappingAction.MAP,
            title=title,
            tag_type=tag_type,
            weight=weight,
        )
        for line, (name, title, tag_type, weight, source) in enumerate(parts, start=2)
    )
    assert read_rows(write_rows(rows)) == rows


def _row(name: str, title: str | None, tag_type: TagType | None = None) -> MappingRow:
    action = MappingAction.IGNORE if title is None else MappingAction.MAP
    return MappingRow(2, "danbooru", name, action, title, tag_type, 10_000)


def test_rows_are_sorted_by_what_they_would_change() -> None:
    # Given a board where two external tags are mapped, one of them to another tag than the file says
    stored = (
        TagMapping(1, "danbooru", "long_hair", MappingAction.MAP, 1),
        TagMapping(2, "danbooru", "blue_eyes", MappingAction.IGNORE, None),
    )
    rows = (
        _row("long_hair", "long hair"),
        _row("blue_eyes", "blue eyes"),
        _row("very_long_hair", "long hair"),
        _row("long_hare", "lnog hair"),
    )
    # When the file is compared with it
    plan = compare(rows, TAGS, stored)
    # Then each row is where it belongs, and the unknown title comes with what it may have meant
    assert [target.row.external_tag for target in plan.new] == ["very_long_hair"]
    assert [target.row.external_tag for target in plan.existing] == ["long_hair"]
    assert [row.target.row.external_tag for row in plan.conflicting] == ["blue_eyes"]
    assert [(bad.row.external_tag, bad.nearest) for bad in plan.unknown] == [("long_hare", ("long hair",))]
    # And only replacing writes the conflicting one
    assert len(plan.to_store(replace=False)) == 1
    assert len(plan.to_store(replace=True)) == 2


def test_a_title_of_several_tags_needs_its_type() -> None:
    plan = compare((_row("mercury", "Mercury"),), TAGS, ())
    assert "name its internal_tag_type" in plan.unknown[0].problem
    plan = compare((_row("mercury", "Mercury", TagType.SOURCE),), TAGS, ())
    assert [target.tag.id for target in plan.new if target.tag] == [4]
    plan = compare((_row("mercury", "Mercury", TagType.ARTIST),), TAGS, ())
    assert "of another type" in plan.unknown[0].problem


def test_the_columns_for_people_are_let_pass() -> None:
    # Given a row as `suggest` writes it
    text = (
        "danbooru_tag,internal_tag_title,action,score,reasons,alternatives\nsmile,smile,map,1.00,exact,grin\n"
    )
    # When it is read, Then it is the row without them
    assert read_rows(text) == read_rows(HEADER + "smile,smile,map\n")


def test_every_wrong_line_of_a_file_is_named_with_the_nearest_titles() -> None:
    # Given rows with two misspelt titles and one right
    rows = (_row("a", "blue eyse"), _row("b", "blue eyes"), _row("c", "Long Hiar"), _row("d", "zzzzz"))
    # When they are compared with the board
    plan = compare(rows, TAGS, ())
    # Then each is explained, with the nearest title where something is near
    assert [bad.explained for bad in plan.unknown] == [
        "no tag is called so; nearest: blue eyes",
        "no tag is called so; nearest: long hair",
        "no tag is called so",
    ]


_TITLES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)


@given(
    titles=st.lists(st.tuples(_TITLES, st.sampled_from(TagType)), unique=True, min_size=1, max_size=8),
    names=st.lists(
        st.tuples(_SOURCES, st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)),
        unique=True,
        max_size=8,
    ),
    data=st.data(),
)
def test_an_export_is_imported_as_nothing_new(
    titles: list[tuple[str, TagType]], names: list[tuple[str, str]], data: st.DataObject
) -> None:
    # Given any board that the store accepts, with any mappings that it accepts
    board = [Tag(number, None, title, kind) for number, (title, kind) in enumerate(titles, start=1)]
    stored = []
    for number, (source, name) in enumerate(names):
        tag = data.draw(st.sampled_from(board) | st.none())
        action = MappingAction.IGNORE if tag is None else MappingAction.MAP
        weight = data.draw(st.integers(1, 10_000))
        if name == name.strip():
            stored.append(TagMapping(number, source, name, action, None if tag is None else tag.id, weight))
    # When they are exported and imported again
    plan = compare(read_rows(write_rows(as_rows(stored, board))), board, stored)
    # Then all are there already
    assert len(plan.existing) == len(stored)
    assert plan.to_store(replace=True) == ()
    assert plan.unknown == ()
