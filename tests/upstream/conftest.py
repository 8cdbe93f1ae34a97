"""transformers' own tests, from its sdist, for our classes: `make test-transformers` brings it and says where it is."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = "TRANSFORMERS_SOURCE"  # the unpacked sdist

collect_ignore = [] if SOURCE in os.environ else ["test_common.py", "test_example.py"]

# What the common tests import and the sdist lacks. Of the first two only the mixins' names are needed: they are of
# generating models and of exports to other runtimes. The third has a configuration's settings to try.
NOT_IN_THE_SDIST = {
    "exporters.test_export": {"ExportTesterMixin": type("ExportTesterMixin", (), {})},
    "generation.test_utils": {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})},
    "utils.test_configuration_utils": {
        "config_common_kwargs": {
            "return_dict": False,
            "output_hidden_states": True,
            "output_attentions": True,
            "dtype": "float16",
            "chunk_size_feed_forward": 5,
            "architectures": ["PslaModel"],
            "finetuning_task": "audio-classification",
            "id2label": {0: "label"},
            "label2id": {"label": "0"},
            "problem_type": "regression",
        }
    },
}

MARKS = (
    "accelerate_tests",
    "flash_attn_test",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "generate",
    "slow",
    "torch_compile_test",
)


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", f"{mark}: a mark of transformers' tests")


def _import_tests(folder: Path, name: str = "transformers_tests") -> None:
    """Make the sdist's tests importable, under a name that is not our own tests'."""
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    for module, contents in NOT_IN_THE_SDIST.items():
        stand_in = ModuleType(f"{name}.{module}")
        vars(stand_in).update(contents)
        parent = f"{name}.{module.split('.')[0]}"
        sys.modules[parent] = ModuleType(parent)
        sys.modules[stand_in.__name__] = stand_in


if SOURCE in os.environ:
    _import_tests(Path(os.environ[SOURCE]) / "tests")
