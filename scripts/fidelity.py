"""Compare this package with the original PSLA's golden files: python scripts/fidelity.py --shared ../shared."""

import argparse
from pathlib import Path

from psla_hf.cli import command_line
from psla_hf.fidelity import fidelity_page, measure
from psla_hf.provenance import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", default="../shared", help="folder with golden/ and audioset/")
    parser.add_argument("--output", default="docs/fidelity.md", help="the page to write")
    arguments = parser.parse_args()
    page = fidelity_page(measure(Path(arguments.shared)), provenance())
    Path(arguments.output).write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    with command_line():
        main()
