#!/usr/bin/env bash
# Build wheel and sdist into dist/, try the wheel in a fresh environment outside the source tree, and run tests from the
# unpacked sdist: UV=uv PYTHON=python bash tests/packaging/try_dist.sh, from the root of the source tree.
set -euo pipefail
root=$PWD place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

rm -rf dist
"$UV" build --quiet --out-dir dist
"$UV" venv --quiet --python "$PYTHON" "$place/environment"
"$UV" pip install --quiet --python "$place/environment/bin/python" --constraint constraints.txt dist/*.whl
cp tests/packaging/try_wheel.py "$place"
(cd "$place" && env -u PYTHONPATH environment/bin/python try_wheel.py)

tar --extract --file dist/*.tar.gz --directory "$place"
(cd "$place"/psla_hf-* && PYTHONPATH=src "$PYTHON" -m pytest --quiet -m "not shared" \
    tests/packaging tests/docs tests/test_structure.py tests/test_files.py tests/commands)
ls -l "$root"/dist
