"""The package keeps its order: a module imports only from those above it, and the model's files only each other."""

import ast
from pathlib import Path

import psla_hf

PACKAGE = Path(psla_hf.__file__).parent
# From the bottom up.
ORDER = [
    "version",
    "cpu",
    "provenance",
    "configuration_psla",
    "feature_extraction_psla",
    "modeling_psla",
    "modeling_psla_ensemble",
    "benchmark",
    "conversion",
    "audio",
    "labels",
    "augmentation",
    "sampling",
    "streaming_plan",
    "schema",
    "label_enhancement",
    "label_sets",
    "samples",
    "remote",
    "shards",
    "training_clips",
    "streaming",
    "benchmark_sampling",
    "listing",
    "tables",
    "layouts",
    "shard_loading",
    "data",
    "run_data",
    "flac_shards",
    "preparation",
    "repository",
    "data_card",
    "benchmark_data",
    "synthetic",
    "mixtures",
    "tagging_metric",
    "evaluation",
    "score_files",
    "averaging",
    "batch_norm",
    "checkpoints",
    "run_folder",
    "run_state",
    "teacher_scores",
    "targets",
    "recipes",
    "epochs",
    "assembly",
    "planning",
    "fidelity",
    "training",
    "inference",
    "members",
    "aggregation",
    "reporting",
    "cards",
    "label_card",
    "hub",
    "enhancement_plot",
    "enhancement_report",
    "benchmark_labels",
    "enhancement_study",
    "plots",
    "cli",
]
REMOTE_CODE = {"configuration_psla", "feature_extraction_psla", "modeling_psla", "modeling_psla_ensemble"}


def siblings(module: str) -> set[str]:
    """The modules of this package that one imports."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1}


def test_every_module_has_its_place_and_imports_only_from_those_above():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", *ORDER}
    for place, module in enumerate(ORDER):
        assert siblings(module) <= set(ORDER[:place]), module


def test_the_models_files_import_only_each_other():
    for module in REMOTE_CODE:
        assert siblings(module) <= REMOTE_CODE


def test_every_modules_first_line_says_what_it_is():
    for module in ORDER:
        first = (PACKAGE / f"{module}.py").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""') and len(first) > 40, module
