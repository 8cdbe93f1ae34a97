"""`psla tag`: the tags of audio files, and when what is heard."""

import logging
import mmap
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from cyclopts import Parameter, Token

from .arguments import MESSAGES, STDIN, Messages, Needs, Switch, Whole, option, panel
from .shipped import shipped_tagger
from .sounds import found, names_a_sound

if TYPE_CHECKING:
    from psla_hf.inference.outputs import Output, OutputFile
    from psla_hf.inference.recording import Recording
    from psla_hf.inference.tagger import AudioTagger
    from psla_hf.inference.timeline import EventRule


logger = logging.getLogger(__name__)


def threshold_of(kind: Any, tokens: Sequence[Token]) -> float | str:
    """A score, or `auto`."""
    word = tokens[-1].value
    try:
        return word if word == "auto" else float(word)
    except ValueError as error:
        raise ValueError(f"expected a score such as 0.5, or auto, got {word}.") from error


@panel("Output", 0)
@dataclass(frozen=True, kw_only=True)
class Written:
    """What is written, and where."""

    top_k: Whole | None = option("Tags per file; by default five, or all of fewer.", None)
    threshold: Annotated[float | str | None, Parameter(converter=threshold_of)] = option(
        "Only tags and events with at least this score, or auto for what was chosen on validation clips for each "
        "class; of events 0.5 by default.",
        None,
    )
    timeline: Switch = option("The scores of every step of about a third of a second.", False)
    events: Switch = option("What is heard from when to when.", False)
    format: Literal["table", "json", "jsonl", "csv", "audacity", "raven", "rttm"] = option(
        "A table is for the screen. Audacity's and Raven's tables and RTTM hold events. By the ending of --output.",
        "table",
    )
    output: Path | None = option("File to write; of Audacity's and Raven's tables the folder.", None)
    plot: Path | None = option("Also draw each file: a PNG, or of several files their folder.", None)
    resume: Annotated[Switch, Needs("--output")] = option(
        "Go on with --output: files that are in it already are passed over.", False
    )
    on_error: Literal["skip", "stop"] = option("What to do about a file that cannot be tagged.", "skip")


@panel("Events", 1)
@dataclass(frozen=True, kw_only=True)
class Events:
    """What counts as an event."""

    low: float = option("An event lasts as long as scores stay above this share of the threshold.", 0.5)
    min_seconds: float = option("Shorter events are none.", 0.0)
    min_gap: float = option("Events of a class with less than so many seconds between them are one.", 0.0)


@panel("Windows of long files", 2)
@dataclass(frozen=True, kw_only=True)
class Windowed:
    """How files longer than the model's window are cut."""

    hop_seconds: float | None = option(
        "From one window to the next; by default side by side, for times half a window.", None
    )
    last_window: Literal["end", "padded"] = option(
        "The last one ends with the file, or, as always for times, is padded.", "end"
    )
    pooling: Literal["max", "mean"] = option("A tag's score is the windows' highest, or their mean.", "max")
    window_seconds: float | None = option(
        "For times, slide short windows of this length instead of taking frame scores.", None
    )


@panel("Machine", 3)
@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it runs."""

    backend: Literal["torch", "onnx", "openvino"] = option(
        "What runs it: torch, or what psla export has made it for.", "torch"
    )
    device: str | None = option("For example cuda; by default a GPU if there is one.", None)
    dtype: Literal["float32", "bfloat16", "float16"] | None = option(
        "Precision of the backbone, or of an OpenVINO graph.", None
    )
    batch_size: Whole | None = option("Windows in a batch; by default 1 on a CPU, else 16.", None)
    streams: Whole | None = option(
        "Batches at work beside each other; by default up to 4 on a CPU. 1 is soonest for a single sound.", None
    )


def tag(
    model: str,
    files: list[str] | None = None,
    /,
    *,
    recursive: Switch = False,
    written: Written = Written(),
    events: Events = Events(),
    windows: Windowed = Windowed(),
    machine: Machine = Machine(),
    messages: Messages = MESSAGES,
) -> None:
    """Tag audio files, and say when what is heard.

    Files may be of any rate, number of channels and length; FFmpeg is not needed.
    One that cannot be tagged is reported and passed over, and the exit status is 2.

    For example, without a model by the one that comes with the package:
        psla tag dog.ogg
        psla tag runs/esc10 dog.ogg rain.wav --top-k 3
        psla tag runs/esc10 recordings --recursive --events --format csv --output events.csv --resume

    Args:
        model: Directory or Hub id of a saved tagger, or an exported folder; may be left out.
        files: Audio files, folders of them, patterns such as "*.wav", or - for a file on standard input.
        recursive: Also the folders in folders.
    """
    import torch

    from psla_hf.inference.layout import Windowing
    from psla_hf.inference.outputs import OutputFile
    from psla_hf.inference.recording import tag_count
    from psla_hf.inference.tagger import AudioTagger

    is_shipped = names_a_sound(model)
    if not is_shipped and not files:
        raise ValueError(f"Expected audio files to tag: psla tag {model} FILES")
    if is_shipped and machine.backend != "torch":
        raise ValueError(f"Expected the folder of an exported model before the files, for --backend {machine.backend}.")
    sounds = list(found([model, *(files or [])] if is_shipped else files or [], recursive))
    if is_shipped and written.threshold is None and written.top_k is None:
        written = replace(written, threshold="auto")
    output, rule = output_of(written, events, windows.pooling, len(sounds))
    if rule is None and events != Events():
        raise ValueError("--low, --min-seconds and --min-gap have no effect without --events, --plot or their formats.")
    if rule is None and not written.timeline and windows.window_seconds is not None:
        raise ValueError("--window-seconds has no effect without --events, --timeline or --plot.")
    check_sounds(sounds, output, written)
    load = shipped_tagger if is_shipped else partial(AudioTagger.from_pretrained, model, backend=machine.backend)
    tagger = load(
        device=machine.device,
        dtype=None if machine.dtype is None else getattr(torch, machine.dtype),
        windowing=Windowing(windows.hop_seconds, windows.last_window, windows.pooling),
        batch_size=machine.batch_size,
        streams=machine.streams,
    )
    tag_count(output.top_k, len(tagger.labels), output.threshold)  # refused before anything is read
    if written.threshold == "auto":
        rule = None if rule is None else replace(rule, threshold=tagger.thresholds)
        output = replace(output, threshold=tagger.thresholds, rule=output.rule and rule)
    file = None if output.format == "table" else OutputFile(output, written.output, written.resume)
    left = [sound for sound in sounds if file is None or not file.has(sound)]
    failed = tag_all(tagger, left, Sink(output, file, written, rule, tagger, len(sounds)), windows.window_seconds)
    if failed:
        raise ValueError(f"{failed} of {len(left)} files could not be tagged.")


@dataclass
class Sink:
    """Where a recording goes: the screen or a file, and a picture."""

    output: "Output"
    file: "OutputFile | None"
    written: Written
    rule: "EventRule | None"  # of the events that are drawn
    tagger: "AudioTagger"
    number: int

    @property
    def needs_times(self) -> bool:
        """Whether it is to be known when what is heard."""
        return self.output.timeline or self.output.rule is not None or self.written.plot is not None

    def put(self, recording: "Recording") -> None:
        """Draw one recording where that is wanted, and write it: what is written is finished.

        Raises:
            ValueError: The format cannot hold it.
        """
        if self.written.plot is not None:
            self.draw(recording, self.written.plot)
        if self.file is not None:
            self.file.write(recording)
        else:
            show(recording, self.output)
        if is_cut(recording):
            logger.warning("%s ends before its header says: tags are of what is there.", recording.source)

    def draw(self, recording: "Recording", place: Path) -> None:
        """Draw one recording."""
        from psla_hf.inference.outputs import name_of, path_inside
        from psla_hf.inference.overview import overview
        from psla_hf.reports.plots import save
        from psla_hf.reports.recording import recording_picture

        assert recording.timeline is not None
        name = name_of(recording)
        look = overview(self.tagger.blocks(recording.source), self.tagger.extractor)
        picture = recording_picture(Path(name).name, look, recording.timeline, recording.timeline.events(self.rule))
        save(picture, place if self.number == 1 else path_inside(place, name, ".png"))


def is_cut(recording: "Recording") -> bool:
    """Whether it is a file that ends before its header says."""
    from psla_hf.audio import is_cut_short

    path = Path(recording.source) if isinstance(recording.source, str) else None
    if path is None or not path.is_file():
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return is_cut_short(data, recording.seconds)


def tag_all(tagger: "AudioTagger", sounds: Sequence[str], sink: Sink, window_seconds: float | None) -> int:
    """Tag files one after the other, and say of which that failed; how many these are."""
    from psla_hf.progress import progress

    failed, hours = 0, 0.0
    with ExitStack() as stack:
        if sink.file is not None:
            stack.callback(sink.file.close)
        bar = stack.enter_context(progress(total=len(sounds), desc="tagging", unit="file"))

        def report(sound: Any, error: Exception) -> None:
            nonlocal failed
            if sink.written.on_error == "stop" or len(sounds) == 1:
                raise error
            failed += 1
            name, line = getattr(sound, "name", str(sound)), " ".join(str(error).split())
            bar.write(f"error: {line if name in line else f'{name}: {line}'}", file=sys.stderr)
            bar.update(1)

        opened = (sys.stdin.buffer if sound == STDIN else sound for sound in sounds)
        for recording in tagger.recordings(
            opened, timeline=sink.needs_times, window_seconds=window_seconds, on_error=report
        ):
            try:
                sink.put(recording)
            except ValueError as error:
                report(recording.source, error)
                continue
            hours += recording.seconds / 3600
            bar.set_postfix_str(f"{hours:.2f} h", refresh=False)
            bar.update(1)
    return failed


def output_of(written: Written, events: Events, pooling: Any, number: int) -> tuple["Output", "EventRule | None"]:
    """What is to be written of each file, and the rule of the events that are written or drawn.

    Raises:
        ValueError: Flags contradict each other.
    """
    from psla_hf.inference.outputs import EVENT_FORMATS, PER_RECORDING, Output
    from psla_hf.inference.timeline import EventRule

    if written.output == Path(STDIN):
        raise ValueError("Expected a file as --output, got -. Leave it out for standard output.")
    suffix = "" if written.output is None else written.output.suffix.removeprefix(".")
    form = suffix if written.format == "table" and suffix in ("json", "jsonl", "csv", "rttm") else written.format
    if form == "table" and written.output is not None:
        raise ValueError(f"A table is for the screen. Choose a --format for {written.output}, such as csv.")
    if form in PER_RECORDING and written.output is None and number > 1:
        raise ValueError(f"Expected --output FOLDER for {number} files: {form} has a table for each.")
    writes_events = written.events or form in EVENT_FORMATS
    if form not in ("json", "jsonl", "csv") and written.timeline:
        raise ValueError(f"Scores over time are not shown as {form}. Take --format jsonl or csv.")
    if form == "csv" and written.events and written.timeline:
        raise ValueError("CSV holds --events or --timeline, not both. Take --format jsonl for both.")
    threshold = written.threshold if isinstance(written.threshold, float) else None
    rule = None
    if writes_events or written.plot is not None:
        rule = EventRule(0.5 if threshold is None else threshold, events.low, events.min_seconds, events.min_gap)
    output = Output(
        cast(Any, form),
        "auto" if written.top_k is None else written.top_k,
        threshold,
        pooling,
        rule if writes_events else None,
        written.timeline,
    )
    return output, rule


def check_sounds(sounds: Sequence[str], output: "Output", written: Written) -> None:
    """Refuse what cannot be done with these files, before anything is read.

    Raises:
        ValueError: Two of them would have one table or picture, or standard input is to be read twice or resumed.
    """
    from psla_hf.inference.outputs import PER_RECORDING, path_inside

    if STDIN in sounds and (written.plot is not None or written.resume):
        what = "--plot reads a sound again" if written.plot is not None else "--resume passes over files by their names"
        raise ValueError(f"Standard input has no name and is read once; {what}. Save it to a file first.")
    if written.plot is not None and len(sounds) == 1 and written.plot.suffix.lower() != ".png":
        raise ValueError(f"Expected --plot to name a .png, got {written.plot}.")
    if written.plot is not None and len(sounds) > 1 and written.plot.is_file():
        raise ValueError(f"Expected a folder as --plot for {len(sounds)} files, {written.plot} is a file.")
    if output.format not in PER_RECORDING and written.plot is None:
        return
    taken: dict[Path, str] = {}
    for sound in sounds:
        first = taken.setdefault(path_inside(Path(), sound, ""), sound)
        if first != sound:
            raise ValueError(f"{first} and {sound} would be written to one file. Tag them one after the other.")


def show(recording: "Recording", output: "Output") -> None:
    """Print one recording as tables."""
    from psla_hf.inference.outputs import name_of
    from psla_hf.reports.tables import print_events, print_tags

    name = name_of(recording)
    print_tags(recording.tags(output.top_k, output.threshold, output.pooling), title=name)
    if output.rule is not None:
        print_events(output.events(recording), title=f"{name}: events")
