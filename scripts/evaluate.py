"""Evaluate a saved tagger on a data set's test part: python scripts/evaluate.py MODEL --data-dir DIR --fold 1."""

import argparse

from psla_hf.commands.arguments import add_data_flags, command_line, data_choice
from psla_hf.data.load import load
from psla_hf.evaluation import score_clips, tagging_metrics
from psla_hf.files import write_json
from psla_hf.inference.tagger import AudioTagger
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_metrics
from psla_hf.training.build import make_accelerator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="directory or Hub id of a saved tagger")
    add_data_flags(parser, "test")
    parser.add_argument("--batch-size", type=int, default=16, help="clips at a time")
    parser.add_argument("--output", help="also write the metrics to this JSON file")
    arguments = parser.parse_args()

    accelerator = make_accelerator()
    tagger = AudioTagger.from_pretrained(arguments.model)
    clips = load(**data_choice(arguments, quiet=not accelerator.is_main_process), parts=["test"]).test
    scores = score_clips(tagger.model, tagger.extractor, clips, accelerator, arguments.batch_size)
    metrics = tagging_metrics(scores, clips.labels.multi_hot())
    print_metrics({arguments.model: metrics}, f"{len(clips)} clips of {arguments.dataset}")
    if arguments.output:
        write_json({**provenance(), "clips": len(clips), "results": metrics}, arguments.output)


if __name__ == "__main__":
    with command_line():
        main()
