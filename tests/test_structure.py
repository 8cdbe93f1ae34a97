"""Every module says what it is, and the model's files import only each other."""

import ast
from pathlib import Path

import psla_hf

PACKAGE = Path(psla_hf.__file__).parent
REMOTE_CODE = {"configuration_psla", "feature_extraction_psla", "modeling_psla", "modeling_psla_ensemble"}


def siblings(module: Path) -> set[str]:
    """The modules beside a module that it imports."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}


def test_the_models_files_import_only_each_other():
    for module in REMOTE_CODE:
        assert siblings(PACKAGE / "models" / f"{module}.py") <= REMOTE_CODE


def test_every_modules_first_line_says_what_it_is():
    for path in PACKAGE.rglob("*.py"):
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        assert first.startswith('"""') and len(first) > 40, path
