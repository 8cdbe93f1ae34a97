"""Tables for a terminal hold the figures that they are given."""

from psla_hf.reports.tables import print_results, print_table, print_tags
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
    print_tags([{"label": "[bold]dog", "score": 0.5}], "[x].wav")
    printed = capsys.readouterr().out
    assert all(
        name in printed for name in ("a_b [red]c[/red]", "[1]", "[title]", "runs/seed_0", "[bold]dog", "[x].wav")
    )
