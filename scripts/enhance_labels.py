"""Enhance a training set's labels: enhance_labels.py --model TEACHER --data-dir DIR --ontology FILE --output OUT.

The teacher's scores are kept beside the output, in OUTPUT.scores: started again after a kill, scoring goes on, and
another threshold needs no scoring. `accelerate launch` shares the scoring among processes.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from accelerate import Accelerator

from psla_hf.commands.arguments import add_data_flags, command_line, data_choice
from psla_hf.data.load import load
from psla_hf.data.schema import Clips
from psla_hf.data.sources import SOURCES
from psla_hf.enhancement.algorithm import Threshold, check_enhancement, check_threshold, enhance_clip_labels
from psla_hf.enhancement.label_set import write_label_set
from psla_hf.enhancement.report import enhancement_figures, write_report
from psla_hf.enhancement.scores import NpyRows, check_unscored, open_scores, saved_teacher
from psla_hf.enhancement.teacher import score_training_clips, teacher_fingerprint
from psla_hf.files import check_output, write_folder
from psla_hf.inference.tagger import AudioTagger
from psla_hf.labels.ontology import Ontology
from psla_hf.provenance import provenance
from psla_hf.reports.tables import print_figures
from psla_hf.training.build import make_accelerator


def main() -> None:
    arguments = parse()
    check_output(arguments.output, arguments.overwrite)
    ontology = Ontology.from_json(arguments.ontology).without_relations(arguments.skip_sources)
    accelerator = make_accelerator()
    quiet = not accelerator.is_main_process
    data = load(**data_choice(arguments, quiet, arguments.streaming))
    clips = data.train
    # What does not fit is to be told before the teacher scores for hours.
    vocabulary = clips.vocabulary
    check_enhancement(ontology, vocabulary, arguments.types, arguments.iterations)

    if arguments.model:
        scores, teacher = score(arguments, clips, accelerator)
        if accelerator.is_main_process:
            enhance(arguments, clips, ontology, scores, {**teacher, "data": data.facts()})
    elif accelerator.is_main_process:
        parent = Path(arguments.output).absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=parent, prefix=".scores-") as place:
            scores = open_scores(arguments.scores, clips.ids, len(vocabulary), Path(place), vocabulary.fingerprint)
            name, fingerprint = saved_teacher(arguments.scores)
            name = name or f"whoever made the scores in {public_name(arguments.scores)}"
            about = {"teacher": name, "teacher_fingerprint": fingerprint, "data": data.facts()}
            enhance(arguments, clips, ontology, scores, about)


def score(arguments: argparse.Namespace, clips: Clips, accelerator: Accelerator) -> tuple[NpyRows, dict[str, str]]:
    """The teacher's scores, and who the teacher is."""
    teacher, name = AudioTagger.from_pretrained(arguments.model), public_name(arguments.model)
    scores = score_training_clips(
        teacher.model,
        teacher.extractor,
        clips,
        arguments.scores_dir or f"{Path(arguments.output)}.scores",
        accelerator,
        batch_size=arguments.batch_size,
        num_workers=arguments.num_workers,
        clips_per_chunk=arguments.clips_per_chunk,
        on_error=arguments.on_error,
        teacher_name=name,
    )
    return scores, {"teacher": name, "teacher_fingerprint": teacher_fingerprint(teacher.model, teacher.extractor)}


def enhance(
    arguments: argparse.Namespace, clips: Clips, ontology: Ontology, scores: NpyRows, about: dict[str, Any]
) -> None:
    """Write the label set and its report."""
    vocabulary, ids = clips.vocabulary, clips.ids
    how = {name: getattr(arguments, name) for name in ("threshold", "types", "iterations")}
    enhancement = enhance_clip_labels(clips.labels, scores, ontology, vocabulary.mids, **how, allow_unscored=True)
    check_unscored(enhancement.unscored, ids, arguments.on_error == "skip")
    data_dir = Path(arguments.data_dir)
    root = data_dir.parent if data_dir.is_file() else data_dir
    figures = enhancement_figures(enhancement, ids, vocabulary, ontology, lambda clip: clips.audio_path(clip, root))
    settings = {name: getattr(arguments, name) for name in ("dataset", "soft", "skip_sources")}
    report = {**provenance(), **about, **settings, **how, **figures}

    def write(folder: Path) -> None:
        write_label_set(folder, ids, enhancement, vocabulary, arguments.soft)
        write_report(folder, report)

    write_folder(arguments.output, write, arguments.overwrite)
    counts = figures["labels"]
    print_figures(
        figures["relations"], f"{counts['added']:,} labels added to {counts['before']:,} ({counts['percent']:.1f} %)"
    )
    if len(enhancement.unscored):
        print(
            f"{len(enhancement.unscored):,} of {len(ids):,} clips have no scores; their labels stay, and count nowhere."
        )
    print(f"Label set and report.md: {arguments.output}\nTrain with it: scripts/train.py … --labels {arguments.output}")


def public_name(path: str) -> str:
    """A path's last part, where it says where on this machine something is; a repository's name as it is."""
    return Path(path).name if Path(path).is_absolute() else path


def threshold(word: str) -> Threshold:
    """`mean`, `median`, or a percentile as `25` or `25P`."""
    try:
        value: Any = word if word in ("mean", "median") else float(word.removesuffix("P"))
        check_threshold(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected mean, median or a percentile such as 25, got {word}") from error
    return value


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="TEACHER", help="directory or Hub id of the tagger that scores the clips")
    source.add_argument("--scores", metavar="FILE", help="or scores: .npy, .parquet, the original's .csv, a folder")
    parser.add_argument("--ontology", required=True, help="AudioSet's ontology.json, or one of its form")
    parser.add_argument("--output", required=True, help="folder for the label set")
    parser.add_argument("--overwrite", action="store_true", help="replace an output folder that is not empty")
    parser.add_argument("--threshold", type=threshold, default="mean", help="mean, median or a percentile such as 25")
    parser.add_argument("--types", type=lambda word: word.split(","), default="I,II", help="I, II or I,II")
    parser.add_argument("--soft", action="store_true", help="an added label's target is the teacher's score, not 1")
    parser.add_argument("--iterations", type=int, default=1, help="rounds at most; the paper has one")
    parser.add_argument(
        "--skip-sources",
        nargs="*",
        metavar="ID",
        help="classes that propose nothing; default for fsd50k: the original's five",
    )
    add_data_flags(parser, "training")
    parser.add_argument("--streaming", action="store_true", help="read the training clips from parquet shards")
    parser.add_argument("--scores-dir", help="folder for the teacher's scores; default: OUTPUT.scores")
    parser.add_argument("--clips-per-chunk", type=int, default=2048, help="clips whose scores become one file")
    parser.add_argument("--batch-size", type=int, default=16, help="clips at a time, of each process")
    parser.add_argument("--num-workers", type=int, default=0, help="processes that decode, for each that scores")
    parser.add_argument(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="clips that do not decode, or have no saved scores (NaN): stop, or leave their labels as they are",
    )
    arguments = parser.parse_args()
    if arguments.skip_sources is None:
        arguments.skip_sources = list(SOURCES[arguments.dataset].no_proposals)
    return arguments


if __name__ == "__main__":
    with command_line():
        main()
