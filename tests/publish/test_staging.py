"""Files enter the repository at once, and leave it as if they had never been there."""

from collections.abc import Callable
from pathlib import Path
from typing import Never

import pytest
from coloured_sources import Source

from orchestrator.errors import InvalidInput, ManifestError
from orchestrator.registry.manifest import read_manifest
from orchestrator.registry.staging import Staging, newest_folder, remove_folder, source_folder

CONFIG = "the configuration"


def files(repository: Path) -> dict[str, bytes]:
    found = (path for path in repository.rglob("*") if path.is_file())
    return {str(path.relative_to(repository)): path.read_bytes() for path in found}


def folders(repository: Path) -> set[str]:
    """Every folder but the one where staging happens, which may stay, empty."""
    found = {str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_dir()}
    return found - {".staging"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository that holds one version already, with a configuration made by hand."""
    repository = tmp_path / "repository"
    Source().write(repository)
    (repository / "colours" / "config.pbtxt").write_text("made by hand")
    return repository


class Killed(BaseException):
    """The process ends here."""


def kill(*_: object, **__: object) -> Never:
    raise Killed


def test_a_version_enters_with_what_its_manifest_vouches_for(repository: Path, tmp_path: Path) -> None:
    source = Source(version=2).write(tmp_path / "source")
    (source / "MODEL_CARD.md").write_text("what it is")
    (source / "notes.txt").write_text("nobody's business")
    staging = Staging.begin(repository, read_manifest(source), source, dropped=False)
    staging.enter(CONFIG)
    staging.keep()
    entered = {path for path in files(repository) if path.startswith("colours/2/")}
    assert entered == {
        f"colours/2/{name}"
        for name in (
            "manifest.json",
            "model.onnx",
            "selected_tags.csv",
            "MODEL_CARD.md",
            "golden/picture.png",
            "golden/tensor.png",
        )
    }
    assert (repository / "colours/config.pbtxt").read_text() == CONFIG
    assert not any(path.startswith(".staging") for path in files(repository))


def test_a_missing_file_is_named_and_leaves_nothing(repository: Path, tmp_path: Path) -> None:
    source = Source(version=2).write(tmp_path / "source")
    (source / "golden/tensor.png").unlink()
    before = files(repository)
    with pytest.raises(ManifestError, match=r"golden/tensor\.png"):
        Staging.begin(repository, read_manifest(source), source, dropped=False)
    assert files(repository) == before


@pytest.mark.parametrize("dropped", [False, True], ids=["published", "dropped"])
@pytest.mark.parametrize("known", [False, True], ids=["new model", "known model"])
@pytest.mark.parametrize(
    "cut_off",
    ["while copying", "before entering", "between the moves", "before the configuration", "at the end"],
)
def test_an_attempt_that_died_at_any_point_is_undone(
    tmp_path: Path,
    repository: Path,
    dropped: bool,
    known: bool,
    cut_off: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a version to bring in, and what the repository was before
    name = "colours" if known else "shades"
    source = Source(name=name, version=2).write(repository if dropped else tmp_path / "source")
    before = files(repository), folders(repository)
    manifest = read_manifest(source)
    # When the process is killed at some point
    points: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
        "while copying": lambda patch: patch.setattr("shutil.copyfile", kill),
        "before entering": lambda patch: patch.setattr(Staging, "enter", kill),
        "between the moves": lambda patch: patch.setattr(Path, "mkdir", _after(Path.mkdir, name)),
        "before the configuration": lambda patch: patch.setattr(
            "orchestrator.registry.staging._write", _only_journals()
        ),
        "at the end": lambda patch: None,
    }
    with monkeypatch.context() as patch:
        patch.setattr(Staging, "undo", lambda self: None)
        points[cut_off](patch)
        try:
            Staging.begin(repository, manifest, source, dropped=dropped).enter(CONFIG)
        except Killed:
            assert cut_off != "at the end"
        else:
            assert cut_off == "at the end"
    # Then whoever comes next brings everything back, however often they try
    (attempt,) = Staging.left_behind(repository)
    attempt.undo()
    attempt.undo()
    assert (files(repository), folders(repository)) == before
    assert Staging.left_behind(repository) == []


def _after(mkdir: Callable[..., None], name: str) -> Callable[..., None]:
    """A mkdir that is killed when it comes to the model's own folder, which is between the two moves."""

    def patched(self: Path, *arguments: object, **more: object) -> None:
        if self.name == name and ".staging" not in self.parts:
            raise Killed
        mkdir(self, *arguments, **more)

    return patched


def _only_journals() -> Callable[[Path, str], None]:
    from orchestrator.registry import staging

    write = staging._write

    def patched(path: Path, text: str) -> None:
        if path.name == "config.pbtxt":
            raise Killed
        write(path, text)

    return patched


def test_a_removed_folder_is_gone_and_its_number_with_it(repository: Path) -> None:
    Source(version=7).write(repository)
    assert newest_folder(repository, "colours") == 7
    remove_folder(repository, "colours", 7)
    remove_folder(repository, "colours", 7)
    assert newest_folder(repository, "colours") == 1
    assert not any(path.startswith(".staging") for path in files(repository))


def test_a_source_without_a_manifest_says_how_to_get_one(tmp_path: Path) -> None:
    model = tmp_path / "tagger.onnx"
    model.write_bytes(b"\x08\x09")
    with pytest.raises(InvalidInput, match="tagdesk models init"):
        source_folder(model)
    with pytest.raises(InvalidInput, match="does not exist"):
        source_folder(tmp_path / "nothing")
