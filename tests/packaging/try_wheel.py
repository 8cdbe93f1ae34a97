"""Try an installed wheel as a stranger does, in an empty folder. Knows nothing of the source tree."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import soundfile

import psla_hf

PSLA = Path(sys.executable).with_name("psla")
CATEGORIES = ("dog", "rain", "rooster")
SETTINGS = "--backbone test_efficientnet --pretraining none --max-length 49 --epochs 2 --halve-from-epoch 1"


def psla(*words: str) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run([PSLA, *words], capture_output=True, text=True)
    assert done.returncode == 0, f"psla {' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write_esc(folder: Path) -> None:
    """An ESC folder: half a second of a tone or of noise for each class and fold."""
    rng = np.random.default_rng(0)
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    table = ["filename,fold,target,category,esc10"]
    for fold in range(1, 6):
        for k, category in enumerate(CATEGORIES):
            tone = 0.3 * np.sin(2 * np.pi * 300 * (k + 1) * np.arange(8000) / 16000)
            soundfile.write(folder / "audio" / f"{fold}-{k}.wav", tone + 0.05 * rng.standard_normal(8000), 16000)
            table.append(f"{fold}-{k}.wav,{fold},{k},{category},True")
    (folder / "meta" / "esc50.csv").write_text("\n".join(table))


def main() -> None:
    package = Path(psla_hf.__file__).parent
    assert package.is_relative_to(sys.prefix), f"expected the installed package, got the one in {package}"
    for name in (
        "py.typed",
        "__init__.pyi",
        "app/templates/app.py.jinja",
        "app/templates/web/page.js",
        "data/__init__.pyi",
        "hub/templates/model.md.jinja",
        "enhancement/templates/report.md.jinja",
        "models/esc10/model.safetensors",
    ):
        assert (files("psla_hf") / name).is_file(), f"{name} is not in the wheel"
    assert psla("--version").strip() == psla_hf.__version__
    assert "tag" in psla("--help")
    write_esc(Path("esc"))
    print(psla("train", "--data-dir", "esc", "--output-dir", "run", "--cpu", *SETTINGS.split()))
    print(psla("tag", "run", "esc/audio/1-0.wav", "--top-k", "2"))
    print(psla("tag", "esc/audio/1-0.wav"))
    print(psla("publish", "model", "run", "you/esc", "--dry-run"))
    print(f"The wheel of psla-hf {psla_hf.__version__} works.")


if __name__ == "__main__":
    main()
