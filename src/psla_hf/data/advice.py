"""What is odd about data, said before anybody trains on them. Knows no sources and no models."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from psla_hf.audio_parts import read_part
from psla_hf.files import digest
from psla_hf.progress import progress

from .schema import Clips

__all__ = ["advice"]


MIN_CLIPS = 10

MOST_NAMED = 5

SHORTEST_NAME = 4  # letters: of shorter names one letter makes another word

RATE = 16000

THREADS = 4


def advice(parts: Mapping[str, Clips], min_clips: int = MIN_CLIPS, *, quiet: bool = False) -> list[str]:
    """Sentences about what may be a mistake, each with the names of the first cases.

    Class names that differ by case, spaces or one letter; classes with few clips to train on, or with none to train or
    to test on; recordings in several parts; and identical sounds under several names. For the last, clips by index
    whose length equals another's are decoded.

    Args:
        parts: Clips by part, such as `train` and `test`, of the same classes.
        min_clips: Fewer clips of a class to train on are few.
        quiet: Show no progress.
    """
    return [*_about_names(parts), *_about_counts(parts, min_clips), *_about_files(parts), *_about_sounds(parts, quiet)]


def _about_names(parts: Mapping[str, Clips]) -> Iterator[str]:
    """Names that may be one class."""
    names = next(iter(parts.values())).vocabulary.names
    counts = np.sum([clips.labels.class_counts() for clips in parts.values()], axis=0)
    texts = [f"{names[a]!r} ({counts[a]}) and {names[b]!r} ({counts[b]})" for a, b in similar_names(names)]
    if texts:
        yield f"Class names that may be one class, with their clips: {_named(texts)}."


def similar_names(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of names that differ by case, spaces and hyphens alone, or by one letter; a digit is no letter.

    Names that differ by one letter are alike without it: only these are compared.
    """
    plain = ["".join(letter for letter in name.lower() if letter not in " -_") for name in names]
    alike = defaultdict(set)
    for k, name in enumerate(plain):
        alike[name].add(k)
        if len(name) >= SHORTEST_NAME:
            for place in range(len(name)):
                if not name[place].isdigit():
                    alike[name[:place] + "\0" + name[place + 1 :]].add(k)  # one letter replaced
                    alike[name[:place] + name[place + 1 :]].add(k)  # one left out
    pairs = {(a, b) for of_key in alike.values() if len(of_key) > 1 for a in of_key for b in of_key if a < b}
    return sorted((a, b) for a, b in pairs if plain[a] == plain[b] or _differ_by_one(plain[a], plain[b]))


def _differ_by_one(a: str, b: str) -> bool:
    """Whether one letter replaced or left out makes one name of the other."""
    if len(a) == len(b):
        return sum(x != y for x, y in zip(a, b, strict=True)) == 1
    short, long = sorted((a, b), key=len)
    return len(long) == len(short) + 1 and any(long[:k] + long[k + 1 :] == short for k in range(len(long)))


def _about_counts(parts: Mapping[str, Clips], min_clips: int) -> Iterator[str]:
    """Classes of which there is too little."""
    for part, clips in parts.items():
        counts, names = clips.labels.class_counts(), clips.vocabulary.names
        absent = [names[k] for k in np.flatnonzero(counts == 0)]
        if absent:
            yield f"Classes without a clip in the part {part}: {_named(absent)}."
        few = [f"{names[k]} ({counts[k]})" for k in np.flatnonzero((counts > 0) & (counts < min_clips))]
        if few and part == "train":
            yield f"Classes with fewer than {min_clips} clips to train on: {_named(few)}."


def _about_files(parts: Mapping[str, Clips]) -> Iterator[str]:
    """Recordings in several parts."""
    where = defaultdict(set)
    for part, clips in parts.items():
        for path in filter(None, clips.files):
            where[path].add(part)
    shared = [f"{path} ({', '.join(sorted(of_path))})" for path, of_path in where.items() if len(of_path) > 1]
    if shared:
        yield f"Recordings in several parts, so that a test is no test: {_named(shared)}."


@dataclass(frozen=True)
class _Sound:
    """A clip that may be the same sound as another."""

    part: str
    clips: Dataset
    number: int

    @property
    def clip(self) -> dict:
        """Read when it is asked for: it may hold its file's bytes."""
        return self.clips[self.number]

    def digest(self, seconds: float | None = None) -> str | None:
        """Of its samples, or of those of its beginning; none if it does not decode, which shows elsewhere."""
        clip = self.clip
        audio, start, end = clip["audio"], clip.get("start") or 0.0, clip.get("end")
        stop = end if seconds is None else min(start + seconds, float("inf") if end is None else end)
        try:
            source = audio["path"] if audio["bytes"] is None else audio["bytes"]
            return digest(read_part(source, RATE, start, stop))
        except (OSError, ValueError):
            return None


def _about_sounds(parts: Mapping[str, Clips], quiet: bool) -> Iterator[str]:
    """Identical sounds under several names."""
    suspects = _identical(list(_of_equal_length(parts)), 1.0, "looking for identical clips", quiet)
    same = [group for of_start in suspects for group in _identical(of_start, None, "comparing clips", quiet)]
    kinds: dict[str, list[str]] = {"in different parts": [], "with different labels": [], "in one part": []}
    for group in same:
        several_parts = len({sound.part for sound in group}) > 1
        kind = "in different parts" if several_parts else "in one part"
        if not several_parts and len({tuple(sound.clip["labels"]) for sound in group}) > 1:
            kind = "with different labels"
        kinds[kind].append(" = ".join(f"{sound.clip['id']} ({sound.part})" for sound in group[:MOST_NAMED]))
    for kind, groups in kinds.items():
        if groups:
            yield f"Identical sounds under several names, {kind}: {_named(groups)}."


def _of_equal_length(parts: Mapping[str, Clips]) -> Iterator[_Sound]:
    """The clips by index whose length is another's, too."""
    lengths = {part: clips.seconds for part, clips in parts.items() if clips.index is None}
    times = Counter(length for of_part in lengths.values() for length in of_part if length is not None)
    for part, of_part in lengths.items():
        clips = parts[part].dataset()
        for number, length in enumerate(of_part):
            if length is not None and times[length] > 1:
                yield _Sound(part, clips, number)


def _identical(sounds: Sequence[_Sound], seconds: float | None, desc: str, quiet: bool) -> list[list[_Sound]]:
    """Groups of at least two whose samples, or whose beginnings, are the same."""
    if len(sounds) < 2:
        return []
    groups = defaultdict(list)
    bar = progress(total=len(sounds), desc=desc, unit="clip", leave=False, quiet=quiet)
    with bar, ThreadPoolExecutor(THREADS) as pool:
        for sound, found in zip(sounds, pool.map(lambda sound: sound.digest(seconds), sounds), strict=True):
            bar.update()
            if found is not None:
                groups[found].append(sound)
    return [group for group in groups.values() if len(group) > 1]


def _named(texts: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    texts = list(texts)
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return "; ".join(texts[:MOST_NAMED]) + more
