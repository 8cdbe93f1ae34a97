"""PSLA audio tagging, native to the Hugging Face stack. Importing it registers the Auto classes and nothing else."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification

from .configuration_psla import PslaConfig
from .feature_extraction_psla import PslaFeatureExtractor
from .inference import AudioTagger
from .label_enhancement import enhance_labels
from .labels import Ontology
from .modeling_psla import PslaForAudioClassification, PslaModel
from .version import __version__

AutoConfig.register("psla", PslaConfig)
AutoFeatureExtractor.register(PslaConfig, PslaFeatureExtractor)
AutoModel.register(PslaConfig, PslaModel)
AutoModelForAudioClassification.register(PslaConfig, PslaForAudioClassification)

__all__ = [
    "AudioTagger",
    "Ontology",
    "PslaConfig",
    "PslaFeatureExtractor",
    "PslaForAudioClassification",
    "PslaModel",
    "__version__",
    "enhance_labels",
]
