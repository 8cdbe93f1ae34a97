"""Splits, folds and parts: who learns from which clips, and who works on which. Knows no files and no sources."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from psla_hf.labels.vocabulary import ClipLabels

__all__ = ["Groups", "dealt_out", "make_folds", "make_splits"]


# Groups of several classes are dealt out in many ways; the most even one is taken, where trying costs no time.
ATTEMPTS, MANY_GROUPS = 30, 1000


T = TypeVar("T")


class Groups(NamedTuple):
    """Which of N clips stay together: those of one name.

    Attributes:
        names: Of each clip's group.
        by: What a group is, in words.
    """

    names: list[str]
    by: str

    @classmethod
    def of(cls, given: Sequence[str | None] | None, files: Sequence[str | None], ids: Sequence[str]) -> "Groups":
        """Those that the data give, else the clips of one file, else each clip by itself.

        Args:
            given: The group of each clip; none where the data do not say it.
            files: The recording that each clip is of or was cut from; none where the data do not say.
            ids: Of the clips.
        """
        names = [file or name for file, name in zip(files, ids, strict=True)]
        by = "recording" if any(files) else "clip, as the data do not say which are of one recording"
        if given is None or not any(given):
            return cls(names, by)
        without = given.count(None)
        return cls(
            [group or name for group, name in zip(given, names, strict=True)],
            f"group, and {without} without one by {by}" if without else "group",
        )


def dealt_out(items: Sequence[T], part: tuple[int, int]) -> Sequence[T]:
    """The items of one of several jobs that know nothing of each other; they are dealt out in turn.

    Args:
        items: Of all jobs together.
        part: Which job's, from 1 on, and how many jobs there are.

    Returns:
        Every so manieth item; those of all parts are `items`, each once.

    Raises:
        ValueError: There is no such part.
    """
    number, parts = part
    if not 1 <= number <= parts:
        raise ValueError(f"Expected a part from 1 to {parts}, got {number} of {parts}.")
    return items[number - 1 :: parts]


def make_splits(labels: ClipLabels, groups: Sequence[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each of N clips, so that every split has about its share of every class.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011) of groups instead of clips: the class
    that has the fewest groups left is dealt out first, each of its groups to the split that lacks most clips of it.
    scikit-learn stratifies groups of one label each, other packages clips of several: none does both.

    Args:
        labels: Of N clips.
        groups: Which clips stay together, such as the recording of each, N names.
        shares: Of each split, by name; they add up to 1.
        seed: The same seed, the same splits.

    Raises:
        ValueError: There are fewer groups than splits.
    """
    names = list(shares)
    codes, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(codes) < len(names):
        raise ValueError(
            f"Expected at least {len(names)} groups (recordings, unless a group column says otherwise) for the splits "
            f"{', '.join(names)}, got {len(codes)}. Give the clips splits of their own, or groups."
        )
    counts = _class_counts(labels, members, len(codes))
    clips, rng = np.bincount(members, minlength=len(codes)).astype(float), np.random.default_rng(seed)
    each = np.array([shares[name] for name in names])
    attempts = ATTEMPTS if len(codes) <= MANY_GROUPS else 1
    dealt = min((_dealt(counts, clips, each, rng) for _ in range(attempts)), key=partial(_unevenness, counts, each))
    return [names[split] for split in dealt[members].tolist()]


def _unevenness(counts: np.ndarray, shares: np.ndarray, dealt: np.ndarray) -> float:
    """How far the splits are from their shares of the classes: squares of what they lack, as shares of the class."""
    totals = np.maximum(counts.sum(axis=0), 1)
    held = np.stack([counts[dealt == split].sum(axis=0) for split in range(len(shares))]) / totals
    return float((((held - shares[:, None]) ** 2) / shares[:, None])[:, counts.sum(axis=0) > 0].sum())


def make_folds(labels: ClipLabels, groups: Sequence[str], num_folds: int, seed: int) -> list[str]:
    """The fold of each of N clips, `fold 1` to `fold K`, all alike; see `make_splits`."""
    if num_folds < 2:
        raise ValueError(f"Expected at least 2 folds, got {num_folds}.")
    return make_splits(labels, groups, {f"fold {k}": 1 / num_folds for k in range(1, num_folds + 1)}, seed)


def _class_counts(labels: ClipLabels, members: np.ndarray, num_groups: int) -> np.ndarray:
    """Clips of each class in each group `[G, K + 1]`; the last column counts clips without labels."""
    lengths = np.diff(labels.offsets)
    counts = np.zeros((num_groups, labels.num_classes + 1))
    np.add.at(counts, (np.repeat(members, lengths), labels.values), 1)
    np.add.at(counts, (members[lengths == 0], labels.num_classes), 1)
    return counts


def _dealt(counts: np.ndarray, clips: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The number of the split of each group `[G]`."""
    dealt = np.full(len(clips), -1)
    wanted, room = shares[:, None] * counts.sum(axis=0), shares * clips.sum()
    order = rng.permutation(len(clips))
    has_class = counts > 0
    holds = np.zeros(wanted.shape, bool)  # which splits have which classes
    while (dealt < 0).any():
        left = (has_class & (dealt < 0)[:, None]).sum(axis=0)
        rarest = int(np.where(left > 0, left, len(clips) + 1).argmin())
        own = order[has_class[order, rarest] & (dealt[order] < 0)]
        for number, group in enumerate(own.tolist()):
            without = ~holds[:, rarest]
            is_last_chance = without.any() and len(own) - number <= without.sum()
            # To whoever lacks most of the class; where equal, most clips; where equal again, by chance.
            lacking = np.stack([without & is_last_chance, wanted[:, rarest], room, rng.random(len(shares))])
            split = int(np.lexsort(lacking[::-1])[-1])
            dealt[group] = split
            holds[split] |= has_class[group]
            wanted[split] -= counts[group]
            room[split] -= clips[group]
    return dealt
