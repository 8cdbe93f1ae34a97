"""From sounds of any length to tags, scores over time and events. Knows nothing of training."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast, get_args, overload

import numpy as np
import torch

from psla_hf.audio import AUDIO_SUFFIXES, resample_blocks, stream_audio
from psla_hf.audio_files import HIGHEST_RATE, LOWEST_RATE
from psla_hf.folder import FolderContents
from psla_hf.models.feature_extraction_psla import PslaFeatureExtractor
from psla_hf.models.saved import SHIPPED, Tagger, load_extractor, load_saved, saved_folder
from psla_hf.models.waveforms_psla import as_mono, mix_down, unpack_sound

from .backends import BackendName, ExportedModel, Scores, clip_scores, default_streams
from .layout import Heard, Layout, Window, Windowing, batches, model_window, note_scores, sound_name, windows_of
from .overlap import ahead, in_streams
from .recording import Recording, Threshold, TopK, tag_count
from .timeline import Event, EventRule, Timeline

__all__ = ["AudioTagger", "Sound"]

BATCH = 16  # windows that a GPU takes at once

Sound: TypeAlias = str | Path | bytes | BinaryIO | np.ndarray | torch.Tensor | Mapping[str, Any] | Sequence[float]

AnyThreshold: TypeAlias = Threshold | Literal["auto"]


class AudioTagger:
    """Tags sounds of any length and form, without FFmpeg, and says when what is heard.

    >>> tagger = AudioTagger.from_pretrained("runs/esc10")  # doctest: +SKIP
    >>> tagger("dog.ogg", top_k=2)  # doctest: +SKIP
    [{'label': 'dog', 'score': 0.98}, {'label': 'rooster', 'score': 0.03}]

    Up to the extractor's `max_length`, the scores are those of `pipeline("audio-classification")`. Longer audio is cut
    into windows of that length, see `Windowing`; it is read, resampled and tagged piece by piece, so that memory does
    not grow with the length. Shorter audio is zero-padded behind its spectrogram, as the model saw it in training.

    Args:
        model: A tagger or an ensemble of them, which is put into eval mode, or an exported one.
        extractor: Its feature extractor.
        device: Where to run; by default a GPU if there is one.
        windowing: How long sounds are cut.
        batch_size: Windows that go through the model at once, of one sound or of several; by default 1 on a CPU, where
            more are no faster and take more memory, and 16 elsewhere.
        streams: Batches that go through the model beside each other, with a share of torch's threads each; by default
            `backends.default_streams` on a CPU, or what an exported model was opened for, and 1 elsewhere.

    Raises:
        ValueError: There are no windows in a batch or no streams; this machine has no such device; or an exported model
            is to run elsewhere than on the CPU.
    """

    def __init__(
        self,
        model: Tagger | ExportedModel,
        extractor: PslaFeatureExtractor,
        device: str | torch.device | None = None,
        windowing: Windowing | None = None,
        batch_size: int | None = None,
        streams: int | None = None,
    ):
        for name, value in (("batch_size", batch_size), ("streams", streams)):
            if value is not None and value < 1:
                raise ValueError(f"Expected {name} of 1 or more, got {value}.")
        self.model: Any = model  # whoever needs its weights has not exported it
        if not isinstance(model, ExportedModel):
            self.model = model.eval().to(default_device() if device is None else device_of(device))
        elif str(device or "cpu").partition(":")[0] != "cpu":
            raise ValueError(f"Expected device='cpu', where exported models run, got {device}. Pass backend='torch'.")
        self.extractor = extractor
        self.windowing = windowing or Windowing()
        on_cpu = isinstance(model, ExportedModel) or model.device.type == "cpu"
        self.batch_size = batch_size or (1 if on_cpu else BATCH)
        opened_for = model.streams if isinstance(model, ExportedModel) else default_streams()
        self.streams = streams or (opened_for if on_cpu else 1)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = SHIPPED,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        backend: BackendName = "torch",
        streams: int | None = None,
        **options: Any,
    ) -> "AudioTagger":
        """Load a tagger from a directory or from the Hub.

        What torch runs is made ready for that, see `psla_hf.models.folding`: load a model that is to be trained or
        saved with `psla_hf.models.saved.load_saved`.

        Args:
            name_or_path: A saved model, or a folder of `psla_hf.models.export.export_model`, which is never on the Hub;
                by default the tagger of ten sounds that comes with the package.
            device: Where to run; by default a GPU if there is one.
            dtype: Precision of the backbone in torch, such as `torch.bfloat16`, by default that of the saved weights;
                or of a whole graph in OpenVINO, see `ExportedModel`.
            backend: `"torch"` for a saved model; `"onnx"` or `"openvino"` for what was exported so, on the CPU.
            streams: See the constructor. An exported model has a share of the threads for a single window, too; with 1
                it has all.
            **options: Further arguments of the constructor.

        Raises:
            FileNotFoundError: A path is given (`local_path` says when) and holds no model, or none for this backend.
            ImportError: What the backend needs is not installed; the message has the command.
            OSError: The Hub or its cache has no such model.
            ValueError: A file of the model is damaged, or weights are missing; or there is no such backend, or it does
                not run on this device or in this precision.
        """
        if backend not in get_args(BackendName):
            raise ValueError(f"Expected backend to be one of {', '.join(get_args(BackendName))}, got {backend!r}.")
        path = saved_folder(name_or_path)
        if backend != "torch":
            if path is None:
                raise ValueError(
                    f"Expected the folder of an exported model with backend={backend!r}, got {name_or_path}."
                )
            graph = ExportedModel(path, backend, dtype, streams)
            return cls(graph, load_extractor(path), device, **options)
        from psla_hf.models.folding import fold_batch_norms  # with timm, which graphs do without

        model, extractor = load_saved(name_or_path)
        fold_batch_norms(model)
        return cls(model.to(dtype=dtype), extractor, device, streams=streams, **options)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the scores, K."""
        return tuple(self.model.config.label_names)

    @property
    def thresholds(self) -> dict[str, float]:
        """From which score on each class counts as heard, by its name.

        Raises:
            ValueError: None were chosen for the model's classes.
        """
        found = getattr(self.model.config, "thresholds", None)
        if found is None or len(found) != len(self.labels):
            raise ValueError(
                f"Expected a model with thresholds for its {len(self.labels)} classes, this one has "
                f"{'none' if found is None else len(found)}. Train with a validation part, on which they are chosen, "
                "or pass a threshold."
            )
        return dict(zip(self.labels, found, strict=True))

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a string is a sequence of strings, but one sound
        self,
        audio: Sound,
        sampling_rate: int | None = None,
        top_k: TopK = "auto",
        threshold: AnyThreshold = None,
    ) -> list[dict]: ...

    @overload
    def __call__(
        self,
        audio: Iterable[Sound],
        sampling_rate: int | None = None,
        top_k: TopK = "auto",
        threshold: AnyThreshold = None,
    ) -> list[list[dict]]: ...

    def __call__(
        self,
        audio: Sound | Iterable[Sound],
        sampling_rate: int | None = None,
        top_k: TopK = "auto",
        threshold: AnyThreshold = None,
    ) -> Any:
        """Tag one clip or recording, a list of them, a folder, or what an iterator yields.

        Args:
            audio: One sound or many. A sound is a path, an audio file's bytes, a file opened for reading bytes; samples
                `[T]`, `[channels, T]` or `[T, channels]` as an array, a tensor or a list of numbers (the longer axis is
                time; PCM integers are scaled; channels are averaged); or a dictionary as transformers and datasets hand
                them around: `{"array" or "raw", "sampling_rate"}`, `{"path", "bytes"}`. Every form of one sound gives
                the same tags. A folder's path stands for all audio files in it.
            sampling_rate: Of samples that come without it, in Hz; they are resampled if the model wants another.
            top_k: How many tags at most, 1 to K; by default five, or all of fewer; `None` for all.
            threshold: Only tags with at least this score, then all such by default; `"auto"` for what was chosen for
                each class on validation clips, see `thresholds`.

        Returns:
            `{"label", "score"}` by falling score; of a list of sounds one such list for each, of an iterator an
            iterator of such lists, of a folder a dictionary of them by path.

        Raises:
            FileNotFoundError: There is no such file, or the folder holds no audio.
            ValueError: The file is not readable as audio, samples come without their rate or are not finite, `top_k` is
                out of range, or the model's scores are not finite.
        """
        tag_count(top_k, len(self.labels), threshold)  # refused before anything is read
        if isinstance(audio, str) and not audio:
            raise ValueError("Expected audio, got an empty path. For the sounds of the folder you are in, pass '.'.")
        least = self.thresholds if threshold == "auto" else threshold

        def tags(recording: Recording) -> list[dict]:
            return recording.tags(top_k, least, self.windowing.pooling)

        if isinstance(audio, str | Path) and Path(audio).is_dir():
            return {str(one.source): tags(one) for one in self.recordings(files_in(audio))}
        if are_many(audio):
            found = (tags(one) for one in self.recordings(cast(Iterable[Sound], audio), sampling_rate))
            return found if isinstance(audio, Iterator) else list(found)
        return tags(self._recording(cast(Sound, audio), sampling_rate))

    def scores(self, audio: Sound, sampling_rate: int | None = None) -> torch.Tensor:
        """Probabilities `[windows, K]` of one sound, on the CPU; a single window up to `max_length`.

        Raises:
            ValueError: They are not finite, or as for tagging.
        """
        return torch.from_numpy(self._recording(audio, sampling_rate).scores)

    def timeline(self, audio: Sound, sampling_rate: int | None = None, window_seconds: float | None = None) -> Timeline:
        """When each class is heard: the head's score at every step of about a third of a second.

        The frame scores of overlapping windows are joined. A model without frame scores (linear pooling), or any with
        `window_seconds`, is slid over the sound in short windows, a step at a time.

        Args:
            audio: One sound.
            sampling_rate: Of samples that come without it, in Hz.
            window_seconds: Length of the windows that are slid; by default frame scores are taken where there are any,
                and 2.24 s where there are none.

        Raises:
            ValueError: As for tagging; or the windows are longer than the model's, or shorter than a step.
        """
        timeline = self._recording(audio, sampling_rate, timeline=True, window_seconds=window_seconds).timeline
        assert timeline is not None
        return timeline

    def events(
        self,
        audio: Sound,
        sampling_rate: int | None = None,
        rule: EventRule | None = None,
        window_seconds: float | None = None,
    ) -> list[Event]:
        """What is heard from when to when, by the rule, in the order of the onsets; see `timeline`."""
        return self.timeline(audio, sampling_rate, window_seconds).events(rule)

    def _recording(self, audio: Sound, sampling_rate: int | None, **options: Any) -> Recording:
        return next(self.recordings([audio], sampling_rate, **options))

    @torch.inference_mode()
    def recordings(
        self,
        sounds: Iterable[Sound],
        sampling_rate: int | None = None,
        timeline: bool = False,
        window_seconds: float | None = None,
        on_error: Callable[[Any, Exception], None] | None = None,
    ) -> Iterator[Recording]:
        """Everything that is heard in each of many sounds, in their order.

        The next sounds are decoded while the model is at work, and a batch may hold windows of several.

        Args:
            sounds: See `__call__`.
            sampling_rate: Of samples that come without it, in Hz.
            timeline: Also when what is heard.
            window_seconds: See `timeline`.
            on_error: Called with a sound that cannot be tagged, and why; it is left out. By default that is raised.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: A sound cannot be tagged.
        """
        layout = self._layout(timeline, window_seconds)
        windows = (
            window
            for sound in sounds
            for window in windows_of(Heard(sound, layout), partial(self.blocks, sound, sampling_rate))
        )
        score = partial(self._scores, frames=layout.frames(self.extractor))
        with (
            closing(ahead(batches(windows, self.batch_size), 1 + self.streams)) as ready,
            closing(in_streams(score, ready, self.streams)) as scored,
        ):
            for batch, scores in scored:
                note_scores(batch, scores, self.model.config.name_or_path)
                for one, _, samples in batch:
                    if samples is not None:
                        continue
                    if one.error is None:
                        yield one.recording(self.labels, self.extractor.sampling_rate)
                    elif on_error is None:
                        raise one.error
                    else:
                        on_error(one.source, one.error)

    @property
    def window_samples(self) -> int:
        """Samples in the model's window, at its rate: the longest sound that is tagged at once."""
        return model_window(self.extractor)

    def _layout(self, timeline: bool, window_seconds: float | None) -> Layout:
        if not timeline:
            return Layout.for_tags(self.extractor, self.windowing)
        if window_seconds is None and self.window_steps:
            return Layout.for_timeline(self.extractor, self.windowing, self.window_steps)
        return Layout.sliding(self.extractor, self.windowing, window_seconds)

    @cached_property
    def window_steps(self) -> int:
        """Steps of the frame scores of a window; none without frame scores."""
        scores = clip_scores(self.model, self.extractor, [np.zeros(self.window_samples, np.float32)]).frame_scores
        return 0 if scores is None else scores.shape[1]

    def blocks(self, sound: Any, sampling_rate: int | None = None) -> Iterator[np.ndarray]:
        """One sound in any of its forms as mono blocks float32 `[n]` at the model's rate.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is not readable, or samples come without their rate.
        """
        name = sound_name(sound)
        if isinstance(sound, Mapping) and not {"array", "raw"} & set(sound):
            file = sound.get("path") if sound.get("bytes") is None else sound["bytes"]
            if file is None:
                raise ValueError(
                    'Expected a dictionary with "array" or "raw" and "sampling_rate", or with "path" or "bytes", got '
                    f"one with {sorted(sound)}."
                )
            sound = file
        wanted = self.extractor.sampling_rate
        sound = bytes(sound) if isinstance(sound, bytearray | memoryview) else sound
        if isinstance(sound, str | Path | bytes) or hasattr(sound, "read"):
            stream = stream_audio(sound)
            mono = (mix_down(torch.from_numpy(block.T), name).numpy() for block in stream.blocks)
            return resample_blocks(mono, stream.sampling_rate, wanted)
        if hasattr(sound, "get_all_samples"):  # torchcodec's decoder, which datasets' Audio feature gives
            decoded = sound.get_all_samples()
            sound, sampling_rate = decoded.data, decoded.sample_rate
        samples, rate = unpack_sound(sound, sampling_rate)
        rate = checked_rate(rate)  # the samples are not looked at before
        return resample_blocks([as_mono(samples, name).cpu().numpy()], rate, wanted)

    def _scores(self, batch: Sequence[Window], frames: int | None) -> Scores | None:
        """The model's scores of a batch, none of one that has only a sound's end."""
        waveforms = [samples for _, _, samples in batch if samples is not None]
        return clip_scores(self.model, self.extractor, waveforms, frames) if waveforms else None


def default_device() -> torch.device:
    """A GPU if there is one, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def are_many(audio: Any) -> bool:
    """Whether something holds sounds, and is none itself."""
    is_one = isinstance(audio, str | Path | bytes | bytearray | memoryview | np.ndarray | torch.Tensor | Mapping)
    if is_one or not isinstance(audio, Iterable) or hasattr(audio, "read") or hasattr(audio, "get_all_samples"):
        return False
    return isinstance(audio, Iterator) or not isinstance(next(iter(audio), None), int | float | np.number)


def checked_rate(rate: Any) -> Any:
    """A rate of samples in Hz.

    Raises:
        ValueError: It is none of a sound.
    """
    if not (isinstance(rate, int | float | np.number) and LOWEST_RATE <= rate <= HIGHEST_RATE):
        raise ValueError(
            f"Expected sampling_rate with a waveform, from {LOWEST_RATE} to {HIGHEST_RATE} Hz, got {rate!r}."
        )
    return rate


def device_of(name: str | torch.device) -> torch.device:
    """A device of this machine.

    Raises:
        ValueError: It has none of this name.
    """
    try:
        return torch.empty(0, device=name).device
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"Expected a device of this machine, such as cpu, got {name}: {reason}") from error


def files_in(folder: str | Path) -> list[Path]:
    """The audio files of a folder and those below it.

    Raises:
        FileNotFoundError: There is none.
    """
    files = FolderContents.of(Path(folder)).sounds
    if not files:
        raise FileNotFoundError(f"Expected audio files ({', '.join(AUDIO_SUFFIXES)}) in {folder}, there is none.")
    return files
