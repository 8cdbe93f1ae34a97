"""A static page whose tagger runs in the browser, by ONNX Runtime Web. Serves nothing; no sound leaves the browser."""

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from psla_hf.files import atomic_folder, write_json
from psla_hf.inference.tagger import AudioTagger
from psla_hf.models.export import export_model

__all__ = ["RUNTIME", "export_web"]

RUNTIME = "onnxruntime-web@1.30.0"  # the npm package that the page is tested with

# What the page loads of the package's folder dist: the module, and what that loads to compute on the CPU.
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def export_web(
    tagger: AudioTagger,
    folder: str | Path,
    onnxruntime_web: str | Path | None = None,
    calibration: Sequence[np.ndarray] | None = None,
    overwrite: bool = False,
) -> None:
    """Export a tagger as a page of plain files, to be served by any server of files.

    Args:
        tagger: Of a saved model.
        folder: Where to; it appears complete or not at all.
        onnxruntime_web: The unpacked npm package of that name; by default npm fetches `RUNTIME`.
        calibration: See `psla_hf.models.export.export_model`.
        overwrite: Replace a folder that is not empty.

    Raises:
        ImportError: A package of the extra onnx is missing.
        FileExistsError: The folder is not empty.
        FileNotFoundError: The npm package is not as expected, or there is no npm.
        OSError: npm could not fetch the package.
    """
    extractor = tagger.extractor
    with atomic_folder(folder, overwrite) as fresh:
        copy_runtime(None if onnxruntime_web is None else Path(onnxruntime_web), fresh / "onnxruntime-web")
        export_model(tagger.model, extractor, fresh / "model", "onnx", front_end=True, calibration=calibration)
        write_json(settings(tagger), fresh / "tagger.json")
        with as_file(files("psla_hf.app") / "templates" / "web") as page:
            shutil.copytree(page, fresh, dirs_exist_ok=True)


def settings(tagger: AudioTagger) -> dict[str, Any]:
    """What the page must know beside the graph.

    Windows overlap by half; of a model without frame scores each is one step, and they lie side by side.
    """
    extractor, steps = tagger.extractor, tagger.window_steps or 1
    return {
        "labels": tagger.labels,
        "sampling_rate": extractor.sampling_rate,
        "window_samples": tagger.window_samples,
        "frame_hop_samples": extractor.hop_size,
        "step_samples": extractor.num_frames(tagger.window_samples) / steps * extractor.hop_size,
        "steps_to_next_window": max(1, steps // 2),
    }


def copy_runtime(package: Path | None, place: Path) -> None:
    """Copy what the page needs of the npm package, which npm fetches if no folder is given."""
    with tempfile.TemporaryDirectory() as temporary:
        source = package or fetched(Path(temporary))
        place.mkdir()
        for name in RUNTIME_FILES:
            path = source / "dist" / name
            if not path.is_file():
                raise FileNotFoundError(f"Expected dist/{name} in {source}, the npm package {RUNTIME}, unpacked.")
            shutil.copyfile(path, place / name)


def fetched(folder: Path) -> Path:
    """The npm package, fetched and unpacked in a folder."""
    advice = "Pass onnxruntime_web=FOLDER, the unpacked package."
    if shutil.which("npm") is None:
        raise FileNotFoundError(f"Expected npm to fetch {RUNTIME}, it is not installed. {advice}")
    done = subprocess.run(["npm", "pack", RUNTIME], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"npm could not fetch {RUNTIME}: {done.stderr.strip()[-300:]}. {advice}")
    [archive] = folder.glob("*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / "package"
