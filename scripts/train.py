"""`psla train` for `accelerate launch scripts/train.py --recipe esc10 --data-dir DIR --fold 1 --output-dir OUT`."""

import sys

from psla_hf.commands import run

if __name__ == "__main__":
    run(["train", *sys.argv[1:]])
