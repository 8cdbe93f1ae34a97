"""`psla score`: what a teacher says of a training set's clips, kept in files."""

from __future__ import annotations  # the types of what is imported when the command runs

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .arguments import MESSAGES, Messages, Part, Switch, Whole
from .data import Data
from .teachers import Scoring, ask_teacher, open_chosen


def score(
    *,
    output: Path,
    data: Data,
    scoring: Scoring,
    top_k: Whole | None = None,
    shard_of: Part = (1, 1),
    streaming: Annotated[Switch, Parameter(group="Data")] = False,
    messages: Messages = MESSAGES,
) -> None:
    r"""Score a training set's clips with a teacher.

    The files are for psla enhance --scores and psla train --teacher-scores.
    Started again after a kill, it goes on. For example by a tagger of
    transformers, and as 64 jobs of one array, each part by itself:
        psla score --teacher MIT/ast-finetuned-audioset-10-10-0.4593 \
            --activation sigmoid --data-dir audioset --output scores/ast
        psla score --shard-of 3/64 --teacher runs/ensemble \
            --data-dir audioset --output scores/ensemble

    Args:
        output: Folder for the scores.
        top_k: Keep so many scores of each clip, the highest; default: all.
        shard_of: Score this part of the clips only, such as 3/64.
        streaming: Read the training clips from parquet shards.
    """
    from psla_hf.data.load import load
    from psla_hf.training.build import make_accelerator

    accelerator = make_accelerator()
    quiet = messages.quiet or not accelerator.is_main_process
    teacher = open_chosen(scoring)
    clips = load(**data.choice(quiet=quiet, streaming=streaming), parts=["train"]).train
    scores = ask_teacher(scoring, teacher, clips, output, accelerator, top_k=top_k, part=shard_of, quiet=quiet)
    if accelerator.is_main_process:
        number, parts = shard_of
        done = f"Scores of {len(clips):,} clips" if scores is not None else f"Part {number} of {parts} of the scores"
        print(f"{done}: {output}")
        if scores is not None:
            print(f"Learn from them: psla train … --teacher-scores {output} --distillation-weight 0.5")
