"""The rules as a process holds them: built once, and again when the database's stamp has moved."""

import asyncio
from dataclasses import dataclass

from orchestrator.records import Geometry, RuleInputs, ServedModel, VersionState
from orchestrator.settings import Settings
from orchestrator.store import rules, rules_version
from orchestrator.store.unit_of_work import Store
from orchestrator.tagging.plan import TaggingPlan


@dataclass(frozen=True, slots=True)
class Rules:
    """The plan, and the versions that look at every picture. `ready`: there is at least one."""

    plan: TaggingPlan
    models: tuple[ServedModel, ...]
    ready: bool

    @classmethod
    def build(cls, inputs: RuleInputs) -> "Rules":
        """Build the rules; tenths of a second for a large board, so not on the event loop."""
        models = tuple(model for model in inputs.models if model.state is VersionState.ACTIVE)
        return cls(TaggingPlan.build(inputs), models, ready=bool(models))

    @property
    def geometries(self) -> frozenset[Geometry]:
        """Every geometry that one of the models needs."""
        return frozenset(model.geometry for model in self.models)

    def model(self, model_version_id: int) -> ServedModel:
        """Return a version that the plan knows. Raises KeyError."""
        return self.plan.versions[model_version_id].model


class RulesCache:
    """Keeps the rules of the newest stamp; one number is read for each question."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._rules: Rules | None = None
        self._building = asyncio.Lock()

    async def current(self) -> Rules:
        """Return rules at least as new as the stamp at the moment of the call. Raises StoreUnavailable."""
        stamp = await self._store.read(rules_version.current)
        if self._rules is not None and self._rules.plan.version == stamp:
            return self._rules
        async with self._building:
            if self._rules is None or self._rules.plan.version < stamp:
                inputs = await self._store.read(lambda tx: rules.plan_inputs(tx, self._settings))
                self._rules = await asyncio.to_thread(Rules.build, inputs)
            return self._rules
