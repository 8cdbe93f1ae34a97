"""Figures are written as PNGs and show the numbers they are given; a number that is missing is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from psla_hf.commands import run as psla
from psla_hf.data.schema import tagging_features
from psla_hf.inference.overview import Overview
from psla_hf.inference.timeline import Timeline
from psla_hf.labels.vocabulary import ClipLabels, Vocabulary
from psla_hf.loading.sampler import EpochSampler, balanced_weights
from psla_hf.reports import plots
from psla_hf.reports.recording import recording_picture
from psla_hf.training.run import folder

ROWS = [{"epoch": epoch, "loss": 1 / epoch, "mAP": 1 - 1 / epoch} for epoch in range(1, 6)]
CURVE = [
    {
        "epoch": epoch,
        **{what: {"mAP": 0.1 * epoch + shift} for shift, what in enumerate(("averaged", "ensemble", "single"))},
    }
    for epoch in range(1, 6)
]
LABELS = ClipLabels.from_lists([[0]] * 60 + [[0, 1]] * 20 + [[1, 2]] * 15 + [[2]] * 4 + [[3]], 5)


def results_of(precision: list, names: list[str] | None = None) -> dict:
    names = names or [f"class {k}" for k in range(len(precision))]
    return {"classes": names, "per_class": {"AP": precision}}


@pytest.fixture
def run_dir(tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "results.json").write_text(json.dumps(results_of([0.5, 0.9, None])))
    (folder / "averaging_curve.json").write_text(json.dumps({"rows": CURVE}))
    return folder


def drawn(axes) -> list[list[float]]:
    return [line.get_ydata().tolist() for line in axes.lines]


def bar_lengths(axes) -> list[float]:
    return [bar.get_width() for bar in axes.patches]


def class_rows(axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_every_figure_is_written_as_a_png_of_a_sane_size(tmp_path):
    two = {"one": results_of([0.2, 0.4]), "two": results_of([0.3, 0.1])}
    many = {"one": results_of(np.linspace(0, 1, 527).tolist())}
    figures = {
        "curves": plots.learning_curves({"one": ROWS, "two": ROWS[:3]}),
        "averaging": plots.averaging_curves({"one": CURVE, "two": CURVE[2:]}),
        "classes": plots.class_ap(two),
        "many": plots.class_ap(many),
        "difference": plots.class_difference(two),
        "draws": plots.class_draws(LABELS),
        "never": plots.never_drawn(LABELS),
    }
    for name, figure in figures.items():
        path = tmp_path / "new folder" / f"{name}.png"
        plots.save(figure, path)
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert all(150 <= side <= 2000 for side in image.size), (name, image.size)
        assert all(axes.get_xlabel() and (axes.get_ylabel() or class_rows(axes)) for axes in figure.axes)


def test_learning_curves_have_a_line_per_run():
    precision, loss = plots.learning_curves({"one": ROWS, "two": ROWS[:3]}).axes
    assert drawn(precision) == [[row["mAP"] for row in ROWS], [row["mAP"] for row in ROWS[:3]]]
    assert drawn(loss)[0] == [row["loss"] for row in ROWS]
    assert [text.get_text() for text in precision.get_legend().get_texts()] == ["one", "two"]


def test_an_epoch_whose_evaluation_has_not_ended_has_a_loss_only():
    precision, loss = plots.learning_curves(
        {"one": [*ROWS, {"epoch": 6, "loss": 0.1}], "two": [{"epoch": 1, "loss": 1}]}
    ).axes
    assert drawn(precision) == [[row["mAP"] for row in ROWS], []]
    assert drawn(loss) == [[*(row["loss"] for row in ROWS), 0.1], [1]]


def test_names_are_no_formulas(tmp_path):
    """Matplotlib would take what is between two dollars for one, and fail where it is none."""
    name = "take_$1_$2"
    results = {name: results_of([0.5, 0.9], [name, "other"])}
    many = {name: results_of(np.linspace(0, 1, 527).tolist())}
    score, sound = np.full((4, 1), 0.5, np.float32), np.zeros(4, np.float32)
    overview = Overview(sound, sound + 0.1, np.zeros((8, 4), np.float32), 0.1, 8000)
    figures = {
        "curves": plots.learning_curves({name: ROWS}),
        "averaging": plots.averaging_curves({name: CURVE}),
        "classes": plots.class_ap(results),
        "many": plots.class_ap(many),
        "difference": plots.class_difference({**results, "other": results[name]}),
        "recording": recording_picture(name, overview, Timeline(score, 0.1, 0.4, (name,)), []),
    }
    for kind, figure in figures.items():
        plots.save(figure, tmp_path / f"{kind}.png")


def test_averaging_has_a_line_for_each_kind_of_each_run():
    axes = plots.averaging_curves({"one": CURVE, "two": CURVE[2:]}).axes[0]
    kinds = ("averaged", "ensemble")
    assert drawn(axes) == [[row[what]["mAP"] for row in rows] for rows in (CURVE, CURVE[2:]) for what in kinds]
    assert len(axes.get_legend().get_texts()) == 4


def test_classes_are_in_the_first_runs_order_and_those_without_a_figure_counted():
    runs = {"one": results_of([0.2, None, 0.7]), "two": results_of([0.3, None, 0.1])}
    figure = plots.class_ap(runs)
    assert class_rows(figure.axes[0]) == ["class 2", "class 0"]
    assert bar_lengths(figure.axes[0]) == [0.7, 0.2, 0.1, 0.3]
    assert "1 of 3 classes left out" in figure.get_suptitle()


def test_of_many_classes_both_ends_are_named_and_all_are_drawn():
    precision = np.random.default_rng(0).permutation(np.linspace(0, 1, 200))
    bars, everything = plots.class_ap({"one": results_of(precision.tolist())}).axes
    ends = np.argsort(-precision)[np.r_[:30, -30:0]]
    assert class_rows(bars) == [f"class {k}" for k in ends]
    assert drawn(everything) == [sorted(precision.tolist(), reverse=True)]


def test_the_difference_is_the_second_run_minus_the_first():
    runs = {"one": results_of([0.25, 0.5, None]), "two": results_of([0.75, 0.25, None])}
    axes = plots.class_difference(runs).axes[0]
    assert class_rows(axes) == ["class 0", "class 1"]
    assert bar_lengths(axes) == [0.5, -0.25]


def test_a_missing_figure_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="'loss' in every row of one; row 2"):
        plots.learning_curves({"one": [ROWS[0], {"epoch": 2, "mAP": 0.1}]})
    without = {"classes": ["a"], "results": {"averaged": {}}}
    with pytest.raises(ValueError, match=r"'per_class' in the results of one, got \['classes', 'results'\]"):
        plots.class_ap({"one": without})
    with pytest.raises(ValueError, match=r"'classes' in the results of one, got \['results'\]"):
        plots.class_ap({"one": {"results": {}}})
    with pytest.raises(ValueError, match="'ensemble' in every row of one; row 1"):
        plots.averaging_curves({"one": [{"epoch": 1, "averaged": {"mAP": 0.5}}]})
    with pytest.raises(ValueError, match="at least one run"):
        plots.learning_curves({})


def test_runs_that_cannot_be_compared_class_by_class_are_refused():
    with pytest.raises(ValueError, match="those of two differ"):
        plots.class_difference({"one": results_of([0.1]), "two": results_of([0.1], names=["other"])})
    with pytest.raises(ValueError, match="two runs to compare class by class, got 1"):
        plots.class_difference({"one": results_of([0.1])})


def test_a_run_without_a_log_or_with_an_empty_one_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"results\.json in the folder of a run"):
        folder.read_results(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"averaging_curve\.json in the folder of a run"):
        folder.read_curve(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match="Wait for the first epoch"):
        folder.read_epochs(tmp_path)


def test_expected_draws_and_unseen_clips_are_what_the_sampler_does():
    """Means over 300 runs of three epochs; their standard error is below a hundredth of each figure compared."""
    sampler = EpochSampler(len(LABELS), 0, balanced_weights(LABELS))
    targets = LABELS.multi_hot()
    draws, unseen = np.zeros(5), np.zeros(4)
    for run in range(300):
        left = np.ones(len(LABELS), bool)
        unseen[0] += 1
        for epoch in range(3):
            sampler.set_epoch(3 * run + epoch)
            rows = [index for index, _ in sampler]
            draws += targets[rows].sum(axis=0)
            left[rows] = False
            unseen[epoch + 1] += left.mean()
    np.testing.assert_allclose(plots.expected_draws(LABELS), draws / 900, rtol=0.05)
    np.testing.assert_allclose(plots.unseen_shares(LABELS, 3), unseen / 300, rtol=0.05)


def test_mixup_uses_clips_that_are_not_drawn():
    """Of N clips with partners for half of N draws, a uniform choice leaves alone a share near exp(-1/2) per epoch."""
    one_class = ClipLabels.from_lists([[0]] * 1000, 1)
    shares = plots.unseen_shares(one_class, 2, mixup_rate=0.5)
    np.testing.assert_allclose(shares, np.exp([0, -1.5, -3]), rtol=5e-3)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": 3, "mixup_rate": 1.5}, {"epochs": 3, "mixup_rate": np.nan}]
)
def test_shares_of_no_epochs_or_rates_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected epochs of 1 or more and mixup_rate from 0 to 1"):
        plots.unseen_shares(LABELS, **wrong)


def test_the_script_draws_what_it_is_asked_for(run_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    psla(["plot", "run", *(f"--figure={name}" for name in ("curves", "averaging", "classes"))])
    assert capsys.readouterr().out.split() == ["plots/curves.png", "plots/averaging.png", "plots/classes.png"]
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {"curves.png", "averaging.png", "classes.png"}


def test_the_script_draws_how_shards_are_sampled(tmp_path, capsys):
    columns = {
        "id": ["a", "b", "c"],
        "audio": [None] * 3,
        "labels": [[0], [0, 1], [0]],
        "mids": [[0], [0, 1], [0]],
        "split": ["train"] * 3,
        "seconds": [1.0] * 3,
    }
    clips = Dataset.from_dict(columns, features=tagging_features(Vocabulary(("dog", "rain"))))
    (tmp_path / "data").mkdir()
    clips.to_parquet(tmp_path / "data" / "train-00000-of-00001.parquet")
    psla(["plot", "--shards", tmp_path, "--split", "train", "--output-dir", tmp_path / "plots"])
    assert [Path(line).name for line in capsys.readouterr().out.split()] == ["class_draws.png", "never_drawn.png"]


def test_the_script_writes_nothing_where_a_figure_is_missing(run_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        psla(["plot", "run", "--figure", "curves", "--figure", "difference"])
    assert "two runs" in capsys.readouterr().err
    assert not (tmp_path / "plots").exists()
