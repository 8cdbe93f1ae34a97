"""PSLA audio tagging, native to the Hugging Face stack. Importing it registers the Auto classes and nothing else."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification

from .configuration_psla import PslaConfig, PslaEnsembleConfig
from .feature_extraction_psla import PslaFeatureExtractor
from .inference import AudioTagger
from .label_enhancement import enhance_labels
from .labels import Ontology
from .modeling_psla import PslaForAudioClassification, PslaModel
from .modeling_psla_ensemble import PslaEnsembleForAudioClassification, PslaEnsembleModel
from .version import __version__

AutoConfig.register("psla", PslaConfig)
AutoFeatureExtractor.register(PslaConfig, PslaFeatureExtractor)
AutoModel.register(PslaConfig, PslaModel)
AutoModelForAudioClassification.register(PslaConfig, PslaForAudioClassification)
AutoConfig.register("psla_ensemble", PslaEnsembleConfig)
AutoFeatureExtractor.register(PslaEnsembleConfig, PslaFeatureExtractor)
AutoModel.register(PslaEnsembleConfig, PslaEnsembleModel)
AutoModelForAudioClassification.register(PslaEnsembleConfig, PslaEnsembleForAudioClassification)

__all__ = [
    "AudioTagger",
    "Ontology",
    "PslaConfig",
    "PslaEnsembleConfig",
    "PslaEnsembleForAudioClassification",
    "PslaEnsembleModel",
    "PslaFeatureExtractor",
    "PslaForAudioClassification",
    "PslaModel",
    "__version__",
    "enhance_labels",
]
