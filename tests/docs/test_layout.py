"""The picture of the layout is the package's."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_has_the_layers_that_import_linter_holds():
    picture = (ROOT / "docs" / "pictures" / "layout.svg").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [
        contract["layers"] for contract in project["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"
    ]
    assert re.findall(r'data-layer="([^"]*)"', picture) == layers
    for layer in layers:
        for wing in layer.split(" | "):
            assert f">{wing}</text>" in picture
