"""Does label enhancement add true labels, and do they help? On mixtures of ESC-10's clips, whose truth is known.

python scripts/study_label_enhancement.py --data-dir DIR --output RESULTS.json
"""

import argparse
from pathlib import Path
from typing import cast

from datasets import DatasetDict

from psla_hf.assembly import make_accelerator
from psla_hf.cli import command_line
from psla_hf.data import load_esc
from psla_hf.enhancement_study import STUDY_TABLES, over_seeds, study_seed
from psla_hf.provenance import provenance, write_json
from psla_hf.reporting import print_figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder of ESC-10, or of ESC-50")
    parser.add_argument("--fold", type=int, default=5, help="fold whose clips are mixed for testing only")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--mixtures", type=int, nargs=2, default=[480, 320], metavar=("TRAIN", "TEST"))
    parser.add_argument("--missing-labels", type=float, default=0.3, help="share of the training labels that are lost")
    parser.add_argument("--work-dir", default="runs/label_enhancement", help="folder for the runs")
    parser.add_argument("--output", required=True, help="file for the results, JSON")
    arguments = parser.parse_args()
    clips = cast("DatasetDict", load_esc(arguments.data_dir, arguments.fold, "esc10"))
    accelerator = make_accelerator()
    seeds = {
        str(seed): study_seed(
            (clips["train"], clips["test"]),
            seed,
            Path(arguments.work_dir) / f"seed-{seed}",
            accelerator,
            sizes=tuple(arguments.mixtures),
            missing_labels=arguments.missing_labels,
        )
        for seed in arguments.seeds
    }
    write_json({**provenance(), "results": seeds}, arguments.output)
    for part, (columns, title) in STUDY_TABLES.items():
        rows = next(iter(seeds.values()))[part]
        print_figures({row: over_seeds([seed[part][row] for seed in seeds.values()], columns) for row in rows}, title)


if __name__ == "__main__":
    with command_line():
        main()
