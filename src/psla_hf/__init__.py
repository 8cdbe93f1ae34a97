"""PSLA audio tagging, native to the Hugging Face stack. Importing it is quick; the Auto classes know PSLA from then on.

The public names are in `__init__.pyi`, and each is imported when it is first asked for.
"""

from types import ModuleType

import lazy_loader
import wrapt

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# transformers takes seconds to import, and `psla --help` does without it: registration waits until somebody needs it.


@wrapt.when_imported("transformers.models.auto.configuration_auto")
def _register_configurations(auto: ModuleType) -> None:
    from .models.configuration_psla import PslaConfig, PslaEnsembleConfig

    auto.AutoConfig.register("psla", PslaConfig)
    auto.AutoConfig.register("psla_ensemble", PslaEnsembleConfig)


@wrapt.when_imported("transformers.models.auto.feature_extraction_auto")
def _register_feature_extractor(auto: ModuleType) -> None:
    from .models.configuration_psla import PslaConfig, PslaEnsembleConfig
    from .models.feature_extraction_psla import PslaFeatureExtractor

    auto.AutoFeatureExtractor.register(PslaConfig, PslaFeatureExtractor)
    auto.AutoFeatureExtractor.register(PslaEnsembleConfig, PslaFeatureExtractor)


@wrapt.when_imported("transformers.models.auto.processing_auto")
def _register_processor(auto: ModuleType) -> None:
    from .models.configuration_psla import PslaConfig, PslaEnsembleConfig
    from .models.feature_extraction_psla import PslaFeatureExtractor

    auto.AutoProcessor.register(PslaConfig, PslaFeatureExtractor)
    auto.AutoProcessor.register(PslaEnsembleConfig, PslaFeatureExtractor)


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _register_models(auto: ModuleType) -> None:
    from .models.configuration_psla import PslaConfig, PslaEnsembleConfig
    from .models.modeling_psla import PslaForAudioClassification, PslaModel
    from .models.modeling_psla_ensemble import PslaEnsembleForAudioClassification, PslaEnsembleModel

    auto.AutoModel.register(PslaConfig, PslaModel)
    auto.AutoModel.register(PslaEnsembleConfig, PslaEnsembleModel)
    auto.AutoModelForAudioClassification.register(PslaConfig, PslaForAudioClassification)
    auto.AutoModelForAudioClassification.register(PslaEnsembleConfig, PslaEnsembleForAudioClassification)
