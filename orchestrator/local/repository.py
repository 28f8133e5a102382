"""The instance's copy of `model_repository/`: the tracked tree never changes by running."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from orchestrator.local.instance import Instance, checkout


def refresh_model_repository(instance: Instance, source: Path | None = None) -> int:
    """Copy what changed in `source` (the tracked tree) since the last time; returns how many files.

    Files that only the copy has (versions added there) stay, and so do files that were changed in the copy
    alone. A file is replaced in one step, so that a server never reads half of it.
    """
    source = source or checkout() / "model_repository"
    record = instance.folder / "model_repository.json"
    known: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
    current = {
        str(file.relative_to(source)): _hash(file) for file in sorted(source.rglob("*")) if file.is_file()
    }
    copied = 0
    for name, digest in current.items():
        target = instance.model_repository / name
        if known.get(name) == digest and target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source / name, temporary)
        temporary.replace(target)
        copied += 1
    instance.model_repository.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(current, indent=1))
    return copied


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
