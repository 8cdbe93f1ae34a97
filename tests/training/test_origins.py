"""A test on clips that a model was trained on is refused, by the facts that result files record."""

import pytest

from psla_hf.training.origins import check_held_out, has_seen, held_out_fold, trainings


def trained(dataset: str, fold: int | None = None, train: str = "train", test: str = "test") -> dict:
    """What the result file of a run says of its data."""
    parts = {"train": {"splits": {train: 8}}, "test": {"splits": {test: 2}}}
    return {"data": {"dataset": dataset, **({} if fold is None else {"fold": fold}), "parts": parts}}


def facts_of(dataset: str, fold: int | None = None, test: str = "test") -> dict:
    facts = trained(dataset, fold, test=test)["data"]
    return {**facts, "parts": {"test": facts["parts"]["test"]}}


def together(*runs: dict) -> dict:
    return {"kind": "ensemble", "runs": [*runs]}


ESC2, ESC3, OWN = trained("esc", 2), trained("esc", 3), trained("own")


@pytest.mark.parametrize(
    ("test", "origin", "seen"),
    [
        (facts_of("esc", 2), ESC2, False),
        (facts_of("esc", 1), ESC2, True),
        (facts_of("urbansound8k", 1), ESC2, False),
        (facts_of("esc", 2), together(ESC2, OWN), False),
        (facts_of("esc", 2), together(ESC2, ESC3), True),
        (facts_of("esc", 3), together(together(ESC2), OWN), True),
        (facts_of("own"), OWN, False),
        (facts_of("own", test="train"), OWN, True),
        (facts_of("own", test="train"), trained("own", train="night"), False),
        (facts_of("audioset_full", test="eval"), trained("audioset_balanced", train="balanced_train"), False),
        (facts_of("esc", 1), None, False),  # nothing is known
        (facts_of("esc", 1), {"data": None}, False),
        (facts_of("esc", 1), together(), False),
    ],
)
def test_a_model_has_seen_what_its_runs_were_trained_on(test, origin, seen):
    assert has_seen(test, origin) is seen
    if seen:
        with pytest.raises(ValueError, match=r"Expected a test on clips of .*but m held out .*allow_seen=True"):
            check_held_out(test, {"m": origin, "other": None})
    else:
        check_held_out(test, {"m": origin})


@pytest.mark.parametrize(
    ("origins", "fold"),
    [
        ([ESC2], 2),
        ([ESC2, None, OWN], 2),
        ([ESC2, ESC3], None),
        ([together(ESC2, ESC3)], None),
        ([OWN], None),
        ([], None),
    ],
)
def test_the_held_out_fold_is_that_of_all_models_or_none(origins, fold):
    assert held_out_fold("esc", origins) == fold


def test_the_message_says_both_facts_and_what_to_do():
    with pytest.raises(ValueError, match=r"it is on fold 1, but a held out fold 2\. Pass fold=2"):
        check_held_out(facts_of("esc", 1), {"a": ESC2, "b": ESC2 | {"data": {"dataset": "own"}}})
    with pytest.raises(ValueError, match=r"it is on fold 3, but a held out fold 2\. Take models that"):
        check_held_out(facts_of("esc", 3), {"a": ESC2, "b": ESC3})


def test_runs_are_counted_once_however_deep_they_are():
    assert trainings(together(ESC2, together(ESC2, ESC3))) == [ESC2, ESC3]
