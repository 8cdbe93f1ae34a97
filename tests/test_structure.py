"""Every module says what it is, the model's files import only each other, and people import what is public."""

import ast
import re
from importlib import import_module
from pathlib import Path

import psla_hf
from tests.conftest import CODE_FILES

PACKAGE = Path(psla_hf.__file__).parent
ROOT = Path(__file__).parents[1]
REMOTE_CODE = {name.removesuffix(".py") for name in CODE_FILES} | {"modeling_psla_ensemble"}


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


def test_every_public_name_is_there_and_says_what_it_is():
    stubs = sorted(PACKAGE.rglob("__init__.pyi"))
    assert len(stubs) > 5
    for stub in stubs:
        module = import_module(".".join(("psla_hf", *stub.parent.relative_to(PACKAGE).parts)))
        assert set(module.__all__) >= set(re.findall(r" as (\w+)$", stub.read_text(encoding="utf-8"), re.M))
        for name in module.__all__:
            assert getattr(module, name) if name == "__version__" else getattr(module, name).__doc__, name


def test_people_are_told_to_import_what_is_public():
    told = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *PACKAGE.rglob("*.jinja")]
    imports = [
        found
        for path in told
        for found in re.findall(r"^from (psla_hf\S*) import (.+?)(?:  #.*)?$", path.read_text(), re.M)
    ]
    assert len(imports) > 10
    for module, names in imports:
        assert module.count(".") < 2, module
        assert set(names.split(", ")) <= set(import_module(module).__all__), (module, names)
