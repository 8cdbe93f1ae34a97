"""`psla listen`: tags while a sound goes on, from a microphone or from raw samples on standard input."""

import json
import logging
import queue
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from .arguments import MESSAGES, STDIN, Messages, Switch, Whole, option, panel
from .shipped import shipped_tagger

if TYPE_CHECKING:
    from psla_hf.inference.stream import Moment

logger = logging.getLogger(__name__)

ENCODINGS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}

AUDIO_FILES = (b"RIFF", b"fLaC", b"OggS", b"caff", b"FORM", b".snd")  # how files with a header begin

PIECE_SECONDS = 0.1

MOST_BEHIND = 30.0  # seconds of sound that a microphone may be ahead of the model


@panel("Sound", 0)
@dataclass(frozen=True, kw_only=True)
class Samples:
    """What arrives."""

    sampling_rate: Whole = option("In Hz.", 16000)
    channels: Whole = option("They are averaged.", 1)
    encoding: Literal["s16le", "s32le", "f32le"] = option("Of raw samples; channels are interleaved.", "s16le")
    microphone: str | None = option("Its number or name; by default the system's.", None)


@panel("Tags", 1)
@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said, and when."""

    hop_seconds: float | None = option("From one answer to the next; by default a second, or a shorter window.", None)
    window_seconds: float | None = option("Of sound behind an answer; by default the model's window.", None)
    top_k: Whole | None = option("Tags of an answer; by default five, or all of fewer.", None)
    threshold: float | None = option("Only tags with at least this score.", None)
    jsonl: Switch = option("JSON lines.", False)


def listen(
    model: str | None = None,
    source: str = "microphone",
    /,
    *,
    samples: Samples = Samples(),
    told: Told = Told(),
    device: str | None = None,
    messages: Messages = MESSAGES,
) -> None:
    """Tag a sound while it goes on, until it ends or Ctrl-C.

    A microphone needs pip install "psla-hf[listen]".

    For example:
        psla listen runs/esc10
        arecord -t raw -f S16_LE -r 16000 | psla listen -

    Args:
        model: Directory or Hub id of a saved tagger; by default the one of ten sounds that comes with the package.
        source: The microphone, or - for raw samples on standard input.
        device: Where the model runs, for example cuda; by default a GPU if there is one.
    """
    from psla_hf.inference.stream import StreamingTagger
    from psla_hf.inference.tagger import AudioTagger

    if model == STDIN:
        model, source = None, STDIN
    if source not in ("microphone", STDIN):
        raise ValueError(
            f"Expected - for raw samples on standard input, or microphone, got {source}. For files: psla tag"
        )
    if source == STDIN and samples.microphone is not None:
        raise ValueError("--microphone would have no effect with - for standard input. Leave one out.")
    if source != STDIN and samples.encoding != "s16le":
        raise ValueError("--encoding would have no effect: it is of raw samples on standard input, psla listen -.")
    if samples.sampling_rate < 1 or samples.channels < 1:
        raise ValueError(
            f"Expected 1 or more, got sampling_rate={samples.sampling_rate} and channels={samples.channels}."
        )
    tagger = StreamingTagger(
        shipped_tagger(device=device) if model is None else AudioTagger.from_pretrained(model, device),
        samples.sampling_rate,
        told.hop_seconds,
        told.window_seconds,
        "auto" if told.top_k is None else told.top_k,
        told.threshold,
    )
    for piece in raw_pieces(sys.stdin.buffer, samples) if source == STDIN else microphone_pieces(samples):
        for moment in tagger.feed(piece):
            say(moment, told.jsonl)
    for moment in tagger.finish():
        say(moment, told.jsonl)


def say(moment: "Moment", jsonl: bool) -> None:
    """Print one answer at once, also into a pipe."""
    if jsonl:
        print(json.dumps(moment._asdict()), flush=True)
    else:
        tags = "  ".join(f"{tag['label']} {tag['score']:.3f}" for tag in moment.tags)
        print(f"{moment.start:.1f}-{moment.end:.1f} s  {tags}", flush=True)


def raw_pieces(file: BinaryIO, samples: Samples) -> Iterator[np.ndarray]:
    """Mono float32 pieces `[n]` of raw samples, as they come.

    Raises:
        ValueError: It is an audio file with a header, or ends within a sample of all channels.
    """
    kind = np.dtype(ENCODINGS[samples.encoding])
    size = kind.itemsize * samples.channels
    most = size * max(1, round(PIECE_SECONDS * samples.sampling_rate))
    data = file.read(len(AUDIO_FILES[0]))
    if data in AUDIO_FILES:
        raise ValueError(
            f"Expected raw samples, got an audio file ({data.decode()}…). Leave the header away (arecord -t raw, "
            "ffmpeg -f s16le), or tag the file: psla tag MODEL -"
        )
    rest = b""
    while data:
        rest += data
        whole = len(rest) // size * size
        yield mono(np.frombuffer(rest[:whole], kind).reshape(-1, samples.channels))
        rest = rest[whole:]
        data = file.read1(most)  # type: ignore[attr-defined]  # buffered, as standard input is
    if rest:
        raise ValueError(
            f"Expected whole samples of {size} bytes, the last has {len(rest)}: are --encoding {samples.encoding} and "
            f"--channels {samples.channels} those of the sound?"
        )


def mono(samples: np.ndarray) -> np.ndarray:
    """The mean float32 `[n]` of channels `[n, channels]`, integers scaled to [-1, 1]."""
    import torch

    from psla_hf.models.waveforms_psla import mix_down, scale_to_float

    return mix_down(scale_to_float(torch.tensor(samples)).T).numpy()


def microphone_pieces(samples: Samples) -> Iterator[np.ndarray]:
    """Mono float32 pieces `[n]` of what a microphone hears, for ever.

    Raises:
        ImportError: sounddevice is not installed.
        OSError: There is no such microphone, or none at all, or what sounddevice needs is not there.
        ValueError: The model is too slow for it.
    """
    from psla_hf.extras import check_installed

    check_installed("listen", "sounddevice")
    try:
        import sounddevice
    except OSError as error:
        raise OSError(f"{error}, which sounddevice needs. Install it, on Debian: apt install libportaudio2") from error
    pieces: queue.Queue[tuple[np.ndarray, Any]] = queue.Queue()
    name = samples.microphone
    try:
        stream = sounddevice.InputStream(
            samplerate=samples.sampling_rate,
            channels=samples.channels,
            device=int(name) if name is not None and name.isdecimal() else name,
            dtype="float32",
            blocksize=round(PIECE_SECONDS * samples.sampling_rate),
            callback=lambda heard, frames, time, status: pieces.put((heard.copy(), status)),
        )
        with stream:
            while True:
                if pieces.qsize() * PIECE_SECONDS > MOST_BEHIND:
                    raise ValueError(
                        f"The model is {MOST_BEHIND:.0f} s behind the microphone. Answer less often: --hop-seconds"
                    )
                heard, status = pieces.get()
                if status:  # what was lost before it
                    logger.warning("The microphone: %s", status)
                yield mono(heard)
    except sounddevice.PortAudioError as error:
        raise OSError(f"Expected a microphone, got: {error}. Those there are: python -m sounddevice") from error
