"""What `validate` finds wrong, and what it lets pass."""

from mapping_tools.validation import validate
from orchestrator.records import MappingAction, MappingFault, Tag, TagMapping, TagType

TAGS = (
    Tag(1, None, "smile", TagType.THEME),
    Tag(2, None, "grin", TagType.THEME, alias_of=1),
    Tag(3, None, "grey hair", TagType.THEME),
    Tag(4, None, "dark hair", TagType.THEME),
)
SPOKEN = {"danbooru": ("smile", "grin", "grey_hair", "gray_hair", ":d", ":D"), "other": ("smile",)}


def _map(name: str, tag_id: int | None, source: str = "danbooru") -> TagMapping:
    action = MappingAction.IGNORE if tag_id is None else MappingAction.MAP
    return TagMapping(len(name), source, name, action, tag_id)


def _faults(*mappings: TagMapping) -> list[tuple[str, MappingFault]]:
    return [(one.external_tag, one.fault) for one in validate(mappings, TAGS, SPOKEN)]


def test_good_mappings_are_let_pass() -> None:
    # Names in use, to canonical tags; two spellings to one tag; emoticons that differ in case only
    assert (
        _faults(_map("smile", 1), _map("grey_hair", 3), _map("gray_hair", 3), _map(":d", 1), _map(":D", None))
        == []
    )


def test_a_name_that_no_active_version_says_is_found() -> None:
    assert _faults(_map("long_hare", 1)) == [("long_hare", MappingFault.UNKNOWN_NAME)]
    # Also where another source says it
    assert _faults(_map("grin", 1, source="other")) == [("grin", MappingFault.UNKNOWN_NAME)]


def test_a_tag_that_is_gone_or_an_alias_is_found() -> None:
    found = validate([_map("smile", 9), _map("grin", 2)], TAGS, SPOKEN)
    assert [(one.external_tag, one.fault) for one in found] == [
        ("grin", MappingFault.TAG_IS_ALIAS),
        ("smile", MappingFault.TAG_GONE),
    ]
    assert "alias of 'smile'" in found[0].detail


def test_contradictions_are_found_in_spellings_and_between_sources() -> None:
    # Two spellings of one name, to two tags
    assert _faults(_map("gray_hair", 3), _map("grey_hair", 4)) == [("grey_hair", MappingFault.CONTRADICTION)]
    # One name, mapped for one source and ignored for another
    assert _faults(_map("smile", 1), _map("smile", None, "other")) == [("smile", MappingFault.CONTRADICTION)]
    # A tag and its alias are the same: no contradiction
    assert _faults(_map("smile", 1), _map("smile", 2, "other")) == [("smile", MappingFault.TAG_IS_ALIAS)]
