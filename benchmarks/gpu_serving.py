"""What one GPU can take, and how many cores feed it. For a machine with a GPU, without a network:

    python benchmarks/gpu_serving.py                    # all; some minutes
    python benchmarks/gpu_serving.py --device cpu --batches 1,2 --seconds 1     # a trial without a GPU

A copy of the source is enough, from any folder; nothing has to be installed of it.

It needs PyTorch, ONNX Runtime, onnx, numpy and Pillow, and nothing else that this project needs; so it draws
its own table. Without cykooz-resizer it shrinks pictures by Pillow, which takes longer, and says so.

A ViT-B/16 at 448 pixels with 10,861 outputs stands for the real tagger: random weights of its shape, for time
does not depend on what they are. Pictures go in as the pipeline sends them, UINT8 RGB in host memory, and
scores come back to host memory; both copies are in the times.
"""

import argparse
import importlib.util
import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as a script it finds the rest of the source

from benchmarks import pillow_resample
from benchmarks.wd14_shape import FULL, LABELS, PATCH, SIZE, build

SHRUNK_BY = "cykooz-resizer"
if importlib.util.find_spec("cykooz_resizer") is None:
    SHRUNK_BY = "Pillow, for want of cykooz-resizer"
    sys.modules["orchestrator.images.resample"] = pillow_resample

from orchestrator.images.prepare import prepare  # noqa: E402  (after what it shrinks by is settled)
from orchestrator.records import Geometry  # noqa: E402

BATCHES = (1, 2, 4, 8, 16, 32, 64)
WARM_UP = 3
MEGAPIXELS = (1.0, 2.0, 4.0)
SEED = 9

_GEOMETRY = Geometry(SIZE, (255, 255, 255), "bicubic")

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Served:
    """A batch size on an engine: images a second, and milliseconds of one batch."""

    engine: str
    batch: int
    images_per_s: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """Pictures decoded and letterboxed a second, by one process and by as many as there are cores."""

    cores: int
    one: float
    every: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print a table and, as the last line, a JSON object."""
    options = _options(arguments)
    engines: dict[str, Callable[[], Ask]] = {
        "PyTorch fp16" if options.device == "cuda" else "PyTorch fp32": lambda: torch_vit(options.device),
        "ONNX Runtime fp32": lambda: onnx_vit(options.device),
    }
    served: list[Served] = []
    missing: list[str] = []
    for name, make in engines.items():
        try:
            ask = make()
        except (ImportError, RuntimeError) as reason:
            missing.append(f"{name}: {reason}")
            continue
        for batch in options.batches:
            served.append(measure(name, ask, batch, options.seconds))
            _say(served[-1])
    cores = os.cpu_count() or 1
    prepared = Prepared(cores, _prepared_per_s(1, options.seconds), _prepared_per_s(cores, options.seconds))
    _report(options.device, served, missing, prepared)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_serving", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--batches", type=lambda text: [int(one) for one in text.split(",")], default=list(BATCHES)
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    return parser.parse_args(arguments)


def measure(engine: str, ask: Ask, batch: int, seconds: float) -> Served:
    """Ask again and again for `seconds`."""
    pictures = np.random.default_rng(SEED).integers(0, 256, (batch, SIZE, SIZE, 3), np.uint8)
    for _ in range(WARM_UP):
        scores = ask(pictures)
    if scores.shape != (batch, LABELS) or not np.isfinite(scores).all():
        raise SystemExit(f"{engine} answers {scores.shape} or what is no number: nothing to measure")
    times: list[float] = []
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        ask(pictures)
        times.append(time.perf_counter() - start)
    p50, p95 = np.percentile(times, [50, 95])
    rate = batch * len(times) / sum(times)
    return Served(engine, batch, round(rate, 1), round(p50 * 1e3, 2), round(p95 * 1e3, 2))


def torch_vit(device: str) -> Ask:
    """Return a ViT-B/16 in PyTorch, in half precision on a GPU. Raises ImportError, RuntimeError."""
    import torch  # type: ignore[import-not-found]  # noqa: PLC0415  (not everybody has it)

    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no GPU")
    kind = torch.float16 if device == "cuda" else torch.float32
    nn, width = torch.nn, FULL.width
    torch.manual_seed(SEED)
    embed = nn.Conv2d(3, width, PATCH, PATCH)
    places = nn.Parameter(torch.randn(1, (SIZE // PATCH) ** 2, width) * 0.02)
    block = nn.TransformerEncoderLayer(
        width, FULL.heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
    )
    blocks = nn.TransformerEncoder(block, FULL.depth, nn.LayerNorm(width), enable_nested_tensor=False)
    head = nn.Linear(width, LABELS)
    for part in (embed, blocks, head):
        part.to(device, kind).eval()
    here = places.detach().to(device, kind)

    def ask(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).to(kind) / 127.5 - 1
            x = blocks(embed(x).flatten(2).transpose(1, 2) + here)
            scores: NDArray[np.float32] = head(x.mean(1)).sigmoid().float().cpu().numpy()
            return scores

    return ask


def onnx_vit(device: str) -> Ask:
    """Return the same shape in ONNX Runtime. Raises ImportError, RuntimeError."""
    import onnxruntime  # noqa: PLC0415  (not everybody has it)

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise RuntimeError(f"ONNX Runtime has no {provider}")
    session: Any = onnxruntime.InferenceSession(build(FULL).SerializeToString(), providers=[provider])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"ONNX Runtime does not start its {provider}")

    def ask(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        (scores,) = session.run(None, {"input": pictures.astype(np.float32)})
        answer: NDArray[np.float32] = scores
        return answer

    return ask


def _jpegs() -> list[bytes]:
    """Return pictures of some megapixels: smooth shapes with some noise, as photographs of drawings have."""
    rng = np.random.default_rng(SEED)
    files = []
    for megapixels in MEGAPIXELS:
        side = round((megapixels * 1e6) ** 0.5)
        coarse = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).resize((side, side))
        noisy = np.clip(np.asarray(coarse, np.int16) + rng.integers(-6, 7, (side, side, 3)), 0, 255)
        file = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG", quality=92)
        files.append(file.getvalue())
    return files


def _prepare_for(seconds: float, files: Sequence[bytes]) -> float:
    """Decode and letterbox for `seconds`; returns pictures a second."""
    done, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        prepare(files[done % len(files)], [_GEOMETRY])
        done += 1
    return done / passed


def _prepared_per_s(processes: int, seconds: float) -> float:
    files = _jpegs()
    with ProcessPoolExecutor(processes) as pool:
        return sum(pool.map(_prepare_for, repeat(seconds, processes), repeat(files)))


def _say(one: Served) -> None:
    line = f"{one.engine:20} batch {one.batch:3}: {one.images_per_s:9,.1f} images/s"
    print(f"{line}, p50 {one.p50_ms:8.2f} ms, p95 {one.p95_ms:8.2f} ms", flush=True)  # noqa: T201


def _report(device: str, served: Sequence[Served], missing: Sequence[str], prepared: Prepared) -> None:
    values: dict[str, object] = {
        "benchmark": "gpu_serving",
        "device": _device_name(device),
        "prepared_per_s_one_core": round(prepared.one, 1),
        "prepared_per_s_all_cores": round(prepared.every, 1),
        "cores": prepared.cores,
        "shrunk_by": SHRUNK_BY,
        "not_measured": list(missing),
    }
    if served:
        best = max(served, key=lambda row: row.images_per_s)
        single = max(
            (row for row in served if row.batch == 1), key=lambda row: row.images_per_s, default=None
        )
        values |= {
            "best_engine": best.engine,
            "best_batch": best.batch,
            "images_per_s": best.images_per_s,
            "cores_to_feed": round(best.images_per_s / (prepared.every / prepared.cores), 1),
            "gain_of_batching": None if single is None else round(best.images_per_s / single.images_per_s, 2),
            "all": [[row.engine, row.batch, row.images_per_s, row.p50_ms, row.p95_ms] for row in served],
        }
    lines = [f"not measured: {reason}" for reason in missing]
    lines.append(
        f"decode and letterbox (shrunk by {SHRUNK_BY}): {prepared.one:,.1f} images/s on one core,"
        f" {prepared.every:,.1f} on {prepared.cores}"
    )
    if served:
        lines.append(
            f"{values['device']}: at best {values['images_per_s']:,} images/s ({values['best_engine']}, batch"
            f" {values['best_batch']}), {values['gain_of_batching']} times batch 1;"
            f" {values['cores_to_feed']} cores feed it"
        )
    print("\n".join(lines))  # noqa: T201
    print(json.dumps(values))  # noqa: T201


def _device_name(device: str) -> str:
    if device == "cpu":
        return platform.processor() or platform.machine()
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "no GPU that PyTorch finds"
    return str(torch.cuda.get_device_name(0))


if __name__ == "__main__":
    main()
