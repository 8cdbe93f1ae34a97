"""The result files that figures in the documents come from."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def result(name: str) -> dict:
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))
