"""`psla evaluate`: the metrics of a saved tagger."""

from pathlib import Path

from .arguments import MESSAGES, BatchSize, Messages
from .data import Data


def evaluate(
    model: str,
    /,
    *,
    data: Data,
    batch_size: BatchSize = 16,
    output: Path | None = None,
    messages: Messages = MESSAGES,
) -> None:
    """Score a saved tagger on a data set's test part.

    For example:
        psla evaluate runs/esc10 --data-dir esc10 --fold 1

    Args:
        model: Directory or Hub id of a saved tagger.
        data: Which data.
        batch_size: Clips at a time, of each process.
        output: Also write the metrics to this JSON file.
        messages: How much is printed.
    """
    from psla_hf.data.load import load
    from psla_hf.evaluation import score_clips, tagging_metrics
    from psla_hf.files import write_json
    from psla_hf.inference.tagger import AudioTagger
    from psla_hf.provenance import provenance
    from psla_hf.reports.tables import print_metrics
    from psla_hf.training.build import make_accelerator

    accelerator = make_accelerator()
    tagger = AudioTagger.from_pretrained(model)
    quiet = messages.quiet or not accelerator.is_main_process
    clips = load(**data.choice(quiet=quiet), parts=["test"]).test
    scores = score_clips(tagger.model, tagger.extractor, clips, accelerator, batch_size)
    if not accelerator.is_main_process:
        return
    metrics = tagging_metrics(scores, clips.labels.multi_hot())
    print_metrics({model: metrics}, f"{len(clips)} clips of {data.dataset}")
    if output:
        write_json({**provenance(), "clips": len(clips), "results": metrics}, output)
