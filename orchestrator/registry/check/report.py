"""What a check found, in a form that people and programs read."""

from enum import StrEnum
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ConfigDict, computed_field

from orchestrator.errors import TagdeskError
from orchestrator.registry.codes import REMEDIES, CheckCode


class Severity(StrEnum):
    """Whether a finding stands in the way."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


class Finding(BaseModel):
    """One thing that was looked at. `code`: a CheckCode; for what is right, the step that found it so."""

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    what: str
    remedy: str = ""


class Facts(BaseModel):
    """What the model is, as far as the check came. `None`: not found out.

    `opset`, `ir_version`: ONNX's. `bytes_total`: graph and external data. `largest_difference`: between the
    prepared graph and its original, in probability, over `images_compared` pictures in batches of `batches`.
    `milliseconds_per_image`: of the original on `cores` cores of this machine.
    """

    model_config = ConfigDict(frozen=True)

    bytes_total: int | None = None
    parameters: int | None = None
    opset: int | None = None
    ir_version: int | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    labels: int | None = None
    batched: bool | None = None
    largest_difference: float | None = None
    images_compared: int | None = None
    batches: tuple[int, ...] = ()
    milliseconds_per_image: float | None = None
    cores: int | None = None


class CheckReport(BaseModel):
    """The outcome of one check. `subject`: the path or the version that was checked."""

    model_config = ConfigDict(frozen=True)

    subject: str
    findings: tuple[Finding, ...]
    facts: Facts = Facts()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """What stands in the way."""
        return tuple(entry for entry in self.findings if entry.severity is Severity.FAILURE)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What an engineer should know of."""
        return tuple(entry for entry in self.findings if entry.severity is Severity.WARNING)

    def to_json(self) -> str:
        """Return the report as indented JSON, `passed` included."""
        return self.model_dump_json(indent=2) + "\n"


class Notes:
    """Takes down findings and facts while a check goes on."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.facts = Facts()

    def failed(self) -> bool:
        """Whether anything stands in the way already."""
        return any(entry.severity is Severity.FAILURE for entry in self.findings)

    def ok(self, step: str, what: str) -> None:
        """Take down what is right."""
        self.take(Finding(code=step, severity=Severity.OK, what=what))

    def warn(self, code: CheckCode, what: str) -> None:
        """Take down what an engineer should know of."""
        self.take(Finding(code=code, severity=Severity.WARNING, what=what, remedy=REMEDIES[code]))

    def fail(self, code: str, what: str) -> None:
        """Take down what stands in the way."""
        self.take(Finding(code=code, severity=Severity.FAILURE, what=what, remedy=REMEDIES.get(code, "")))

    def take(self, finding: Finding) -> None:
        """Take down a finding."""
        self.findings.append(finding)

    def begin(self, what: str) -> None:
        """Say what comes next, for the case that it never ends."""

    def know(self, **facts: object) -> None:
        """Add facts, by Facts' names."""
        self.facts = self.facts.model_copy(update=facts)

    def failing(self) -> "_Failing":
        """Return a context in which an error that says what is wrong is a failure, and no error."""
        return _Failing(self)

    def report(self, subject: str) -> CheckReport:
        """Return what was taken down."""
        return CheckReport(subject=subject, findings=tuple(self.findings), facts=self.facts)


class _Failing:
    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, TagdeskError):
            self._notes.fail(error.code, error.detail)
            return True
        return False
