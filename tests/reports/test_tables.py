"""Tables for a terminal hold the figures that they are given."""

import json
import math

import pytest

from psla_hf.files import to_json
from psla_hf.reports.folds import report_folds
from psla_hf.reports.tables import mean_metrics, print_metrics, print_results, print_table, print_tags
from psla_hf.training.recipes import get_recipe


def test_results_stand_beside_the_figures_to_be_measured_against_where_there_are_any(capsys):
    results = {"averaged": {"mAP": 0.5, "accuracy": 0.25}}
    target = get_recipe("esc10").target
    print_results(results, "esc10", target)
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("averaged weights", "0.5000", "0.2500", "for comparison: humans"))
    assert f"{target.figures['humans']:.4f}" in printed and target.source in printed
    print_results(results, "esc10 on other data")
    assert "comparison" not in capsys.readouterr().out


def test_names_are_shown_as_they_are_named(capsys):
    print_table({"a_b [red]c[/red]": ["[1]"]}, "[title]", ["model", "runs/seed_0"])
    print_tags([{"label": "[bold]dog :cat:", "score": 0.5}], "[x]:dog:.wav")
    printed = capsys.readouterr().out
    names = ("a_b [red]c[/red]", "[1]", "[title]", "runs/seed_0", "[bold]dog :cat:", "[x]:dog:.wav")
    assert all(name in printed for name in names)


@pytest.mark.parametrize(("auc", "shown"), [(1.0, " ∞ "), (0.0, " -∞ ")])
def test_an_infinite_d_prime_has_its_sign_read_back_from_json_too(capsys, auc, shown):
    for d_prime in (math.copysign(math.inf, auc - 0.5), None):
        print_metrics({"a run": {"AUC": auc, "d_prime": d_prime}}, "runs")
        assert shown in capsys.readouterr().out


INF = math.inf


@pytest.mark.parametrize(
    ("aucs", "d_primes", "mean", "shown"),
    [
        ((0.9, 0.8), (1.8, 1.2), pytest.approx(1.5), "1.5000"),
        ((1.0, 1.0), (INF, INF), None, " ∞ "),
        ((0.0, 0.0), (-INF, -INF), None, " -∞ "),
        ((0.9, 1.0), (1.8, INF), None, "not finite"),
        ((1.0, 0.9), (INF, 1.8), None, "not finite"),
        ((0.9, 0.0), (1.8, -INF), None, "not finite"),
        ((0.0, 0.9, 0.9), (-INF, 1.8, 1.8), None, "not finite"),
        ((0.0, 1.0), (-INF, INF), None, "not finite"),
    ],
)
def test_a_mean_d_prime_is_one_of_finite_figures_and_shown_alike_from_memory_and_from_json(
    capsys, aucs, d_primes, mean, shown
):
    rows = [{"AUC": auc, "d_prime": d_prime} for auc, d_prime in zip(aucs, d_primes, strict=True)]
    metrics = mean_metrics(rows)
    assert metrics == {"AUC": pytest.approx(sum(aucs) / len(aucs)), "d_prime": mean}
    assert mean_metrics([json.loads(to_json(row)) for row in rows]) == metrics
    for read in (metrics, json.loads(to_json(metrics))):
        print_metrics({"a mean": read}, "runs")
        assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("d_prime", "told"), [(1.0, "2.0000 ± 1.4142"), (math.inf, "not finite"), (None, "not finite")]
)
def test_folds_have_a_mean_and_a_deviation_where_all_are_finite(tmp_path, capsys, d_prime, told):
    folds = {
        "fold 1": {"averaged": {"AUC": 1.0, "d_prime": d_prime}},
        "fold 2": {"averaged": {"AUC": 0.9, "d_prime": 3.0}},
    }
    report_folds(folds, tmp_path)
    printed = capsys.readouterr().out
    assert told in printed and "0.9500 ± 0.0707" in printed
    mean = json.loads((tmp_path / "folds.json").read_text())["mean"]["averaged"]["d_prime"]
    assert mean["mean"] == (2.0 if d_prime == 1.0 else None) and (mean["standard_deviation"] is None) == (
        d_prime != 1.0
    )
