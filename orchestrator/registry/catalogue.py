"""Taggers that `tagdesk models fetch` brings in: where their files are, and whose contract they have."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestrator.registry.presets import Preset

BASE_URL = "https://huggingface.co"
MODEL_FILE, LABELS_FILE = "model.onnx", "selected_tags.csv"


@dataclass(frozen=True, slots=True)
class Published:
    """A tagger as its author published it. `repository`: owner/name at the model hub."""

    repository: str
    preset: Preset
    licence: str = "Apache-2.0"
    files: tuple[str, ...] = (MODEL_FILE, LABELS_FILE)

    def url(self, base: str, file: str) -> str:
        """Return a file's address below `base`."""
        return f"{base.rstrip('/')}/{self.repository}/resolve/main/{file}"

    def page(self, base: str) -> str:
        """Return the address of the tagger's page."""
        return f"{base.rstrip('/')}/{self.repository}"


CATALOGUE: Mapping[str, Published] = MappingProxyType(
    {
        "wd14-v3": Published("SmilingWolf/wd-vit-tagger-v3", Preset.WD14_V3),
        "wd14-swinv2-v3": Published("SmilingWolf/wd-swinv2-tagger-v3", Preset.WD14_V3),
        "wd14-convnext-v3": Published("SmilingWolf/wd-convnext-tagger-v3", Preset.WD14_V3),
        "wd14-v2": Published("SmilingWolf/wd-v1-4-vit-tagger-v2", Preset.WD14_V2),
        "wd14-swinv2-v2": Published("SmilingWolf/wd-v1-4-swinv2-tagger-v2", Preset.WD14_V2),
        "wd14-convnext-v2": Published("SmilingWolf/wd-v1-4-convnext-tagger-v2", Preset.WD14_V2),
    }
)
