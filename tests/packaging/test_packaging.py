"""What is built has what it needs: its libraries, their tested versions, and a README that an index can show."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# Asked for by name, where somebody has them.
OPTIONAL = {"torchcodec"}


def name(requirement: str) -> str:
    """A requirement's project: `soxr` of `soxr>=0.4`."""
    return re.split(r"[\[<>=~!; ]", requirement)[0].lower().replace("_", "-")


def requirements(*extras: str) -> set[str]:
    groups = [PROJECT["project"]["optional-dependencies"][extra] for extra in extras]
    return {name(requirement) for group in [PROJECT["project"]["dependencies"], *groups] for requirement in group}


def imported(module: Path) -> set[str]:
    """The libraries that a module imports, standard library and this package apart."""
    nodes = list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"psla_hf"}


def test_what_the_package_imports_is_required():
    distributions = packages_distributions()
    known = requirements(*PROJECT["project"]["optional-dependencies"].keys() - {"dev", "docs"})
    for module in (ROOT / "src").rglob("*.py"):
        for library in imported(module) - OPTIONAL:
            projects = {name(project) for project in distributions.get(library, [library])}
            assert projects & known, f"{module.name} imports {library}"


def test_every_requirement_has_a_tested_version():
    tested = {
        name(line) for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if "==" in line
    }
    assert requirements(*PROJECT["project"]["optional-dependencies"]) <= tested


def test_the_readme_of_an_index_has_no_relative_links():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for substitution in PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    addresses = re.findall(r"\]\(([^)]*)\)", text)
    assert addresses
    assert [address for address in addresses if not address.startswith(("https://", "#"))] == []


@pytest.mark.parametrize("pattern", ["*.md", "docs/*.md", "*.toml", "Makefile", "constraints.txt", ".ci/run"])
def test_no_path_of_a_machine_is_in_the_documents(pattern):
    for path in ROOT.glob(pattern):
        assert not re.search(r"/(home|root|work|Users)/\w", path.read_text(encoding="utf-8")), path
