"""`psla evaluate`: the metrics of a saved tagger."""

from pathlib import Path

from .arguments import MESSAGES, Messages
from .data import EvaluationData, OwnData

OWN = OwnData()


def evaluate(
    model: str,
    /,
    *,
    data: EvaluationData,
    own: OwnData = OWN,
    output: Path | None = None,
    messages: Messages = MESSAGES,
) -> None:
    """Score a saved tagger on a data set's test part.

    For example:
        psla evaluate runs/esc10 --data-dir esc10
        psla evaluate runs/birds --data-dir birds --split-seed 3

    Args:
        model: Directory or Hub id of a saved tagger.
        output: Also write the metrics to this JSON file.
    """
    from psla_hf.aggregation.members import Member
    from psla_hf.evaluation import score_clips, tagging_metrics
    from psla_hf.files import write_json
    from psla_hf.provenance import provenance
    from psla_hf.reports.tables import print_metrics
    from psla_hf.training.build import make_accelerator
    from psla_hf.training.origins import has_seen

    accelerator = make_accelerator()
    member = Member(model)
    tagger, origin = member.load(), member.origin()
    quiet = messages.quiet or not accelerator.is_main_process
    loaded = data.load({model: origin}, quiet=quiet, **own.settings())
    clips, facts = loaded.test, loaded.facts()
    scores = score_clips(tagger.model, tagger.extractor, clips, accelerator, data.batch_size)
    if not accelerator.is_main_process:
        return
    metrics = tagging_metrics(scores, clips.labels.multi_hot())
    fold = f", fold {loaded.fold}" if loaded.fold is not None else ""
    print_metrics({model: metrics}, f"{len(clips)} clips of {facts['dataset']}{fold}")
    seen = None if origin is None else has_seen(facts, origin)
    if seen:
        print("The model was trained on some of these clips: the figures are too good.")
    elif seen is None:
        print("Whether the model was trained on some of these clips is not known: it has no results.json.")
    if output:
        write_json({**provenance(), "data": facts, "seen": seen, "clips": len(clips), "results": metrics}, output)
