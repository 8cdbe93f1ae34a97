"""PSLA audio tagging, native to the Hugging Face stack. Importing it registers the Auto classes and nothing else."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForAudioClassification

from .enhancement.algorithm import enhance_labels
from .inference.tagger import AudioTagger
from .labels.ontology import Ontology
from .models.configuration_psla import PslaConfig, PslaEnsembleConfig
from .models.feature_extraction_psla import PslaFeatureExtractor
from .models.modeling_psla import PslaForAudioClassification, PslaModel
from .models.modeling_psla_ensemble import PslaEnsembleForAudioClassification, PslaEnsembleModel
from .provenance import __version__

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
