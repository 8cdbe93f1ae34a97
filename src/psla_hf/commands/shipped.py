"""The tagger that comes with the package, for whoever names none."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psla_hf.inference.tagger import AudioTagger

__all__ = ["shipped_tagger"]

logger = logging.getLogger(__name__)


def shipped_tagger(**options: Any) -> "AudioTagger":
    """The tagger that comes with the package, once it has been said what it knows.

    Args:
        **options: Of `AudioTagger.from_pretrained`.
    """
    from psla_hf.inference.tagger import AudioTagger

    tagger = AudioTagger.from_pretrained(**options)
    logger.warning(
        "No model is named: the tagger that comes with psla-hf listens. It knows %d sounds, %s, and nothing else.",
        len(tagger.labels),
        ", ".join(sorted(tagger.labels)),
    )
    return tagger
