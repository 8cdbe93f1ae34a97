"""transformers' common tests of models, configurations and sequence feature extractors hold for PSLA."""

import unittest
from typing import Any

import numpy as np
import torch
from transformers_tests.test_configuration_common import ConfigTester
from transformers_tests.test_modeling_common import ModelTesterMixin
from transformers_tests.test_sequence_feature_extraction_common import SequenceFeatureExtractionTestMixin

from psla_hf import (
    PslaConfig,
    PslaEnsembleConfig,
    PslaEnsembleForAudioClassification,
    PslaEnsembleModel,
    PslaFeatureExtractor,
    PslaForAudioClassification,
    PslaModel,
)
from tests.conftest import TINY_BACKBONE

# Common tests that cannot apply, each with its reason. (transformers itself skips those of text, of generating, of
# attention kernels, of several GPUs and of exports.)
NOT_FOR_PSLA = {
    "test_correct_missing_keys": "weights that are missing are refused, which tests/models/test_saved.py holds",
    "test_model_weights_reload_no_missing_tied_weights": "it loads files without weights, which are refused",
    "test_hidden_states_output": "it expects one size for all layers; a CNN's maps shrink (tests/models has a test)",
    "test_model_get_set_embeddings": "a spectrogram has no table of embeddings",
    "test_training": "it knows by transformers' own lists which models take labels (tests/models train)",
}


def tiny_settings() -> dict[str, Any]:
    return {"backbone": TINY_BACKBONE, "num_mel_bins": 64}


class ModelTester:
    """What the mixins ask of a model: a configuration and inputs for it."""

    batch_size = 3
    is_training = True

    def __init__(self, parent: unittest.TestCase, config: PslaConfig | PslaEnsembleConfig):
        self.parent = parent
        self.config = config

    def get_config(self) -> PslaConfig | PslaEnsembleConfig:
        return self.config

    def prepare_config_and_inputs_for_common(self) -> tuple[PslaConfig | PslaEnsembleConfig, dict[str, torch.Tensor]]:
        spectrograms = torch.randn(self.batch_size, 64, 64, generator=torch.Generator().manual_seed(0))
        return self.config, {"input_values": spectrograms}


class CommonTests(ModelTesterMixin):
    """transformers' tests of models, without those that cannot apply."""

    has_attentions = False  # of layers by tokens; the head's attentions have tests of their own
    test_resize_embeddings = False  # there are no tokens


for name, reason in NOT_FOR_PSLA.items():
    setattr(CommonTests, name, unittest.skip(reason)(getattr(ModelTesterMixin, name)))


class PslaTest(CommonTests, unittest.TestCase):
    """Single models and their configuration."""

    all_model_classes = (PslaModel, PslaForAudioClassification)

    def setUp(self):
        self.model_tester = ModelTester(self, PslaConfig(**tiny_settings()))
        self.config_tester = ConfigTester(
            self, config_class=PslaConfig, has_text_modality=False, common_properties=[], **tiny_settings()
        )

    def test_config(self):
        self.config_tester.run_common_tests()


class PslaEnsembleTest(CommonTests, unittest.TestCase):
    """Ensembles of two members."""

    all_model_classes = (PslaEnsembleModel, PslaEnsembleForAudioClassification)

    def setUp(self):
        members = [PslaConfig(**tiny_settings()), PslaConfig(**{**tiny_settings(), "pooling": "mean"})]
        self.model_tester = ModelTester(self, PslaEnsembleConfig.from_member_configs(members))


class ExtractorTester:
    """What the mixin asks of an extractor: sequences `[frames, feature_size]` of rising lengths."""

    batch_size = 7
    min_seq_length = 20
    max_seq_length = 80
    seq_length_diff = 10
    feature_size = 64

    def prepare_feat_extract_dict(self) -> dict[str, Any]:
        # Without normalization padded frames are 0: the mixin's sums are right for no other value.
        return {"num_mel_bins": self.feature_size, "max_length": 100, "do_normalize": False}

    def prepare_inputs_for_common(self, equal_length: bool = False, numpify: bool = False) -> list:
        rng = np.random.default_rng(0)
        lengths = [self.max_seq_length if equal_length else 20 + 10 * k for k in range(self.batch_size)]
        sequences = [rng.random((length, self.feature_size)) for length in lengths]
        return sequences if numpify else [sequence.tolist() for sequence in sequences]


class PslaFeatureExtractorTest(SequenceFeatureExtractionTestMixin, unittest.TestCase):
    """The feature extractor's pad, and its files."""

    feature_extraction_class = PslaFeatureExtractor

    def setUp(self):
        self.feat_extract_tester = ExtractorTester()
