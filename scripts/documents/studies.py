"""Figures of the studies. Knows no benchmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from psla_hf.reports.markdown import markdown_figures, markdown_origin
from studies.ablation import FULL, ablation_rows, aggregation_rows
from studies.esc10_ensembles import ENSEMBLES, tested_rows
from studies.esc10_selection import SETTINGS, figures_by_seed, fold_rows, validation_rows
from studies.label_enhancement import STUDY_TABLES, over_seeds
from studies.shipped_tagger import table as shipped_rows
from studies.students import BASES, CROSS_FIT, MISSING, MIXTURES, OF_TEACHERS, summary

from .results import result


def study() -> str:
    content = result("study_label_enhancement")
    seeds = content["results"]
    first = next(iter(seeds.values()))
    parts = []
    for part, (columns, title) in STUDY_TABLES.items():
        rows = {row: over_seeds([of_seed[part][row] for of_seed in seeds.values()], columns) for row in first[part]}
        parts.append(markdown_figures(rows, title))
    shares = (
        f"{types} {over_seeds([of_seed['proposed'] for of_seed in seeds.values()], [types])[types]}"
        for types in first["proposed"]
    )
    proposed = (
        f"Of the missing labels the ontology proposes these shares, the most that recall can be: {', '.join(shares)}."
    )
    mean = {
        name: sum(of_seed["models"][name]["mAP"] for of_seed in seeds.values()) / len(seeds) for name in first["models"]
    }
    shares = (
        f"{name} {(mean[name] - mean['original']) / (mean['full'] - mean['original']):.0%}"
        for name in mean
        if name.startswith("enhanced")
    )
    made_up = f"Of what the missing labels cost in mAP these make up for: {', '.join(shares)}."
    origin = f"Mean ± standard deviation over {len(seeds)} seeds. {markdown_origin(content)}."
    return "\n\n".join([parts[0], proposed, parts[1], made_up, origin])


def fine_tuning() -> str:
    content = result("study_fine_tuning")
    return (
        "Does a tagger of other classes begin better than ImageNet? On five classes of ESC-10, from ImageNet's weights "
        f"and from a tagger of the five others, eight epochs of 160 clips each, {len(content['seeds'])} seeds, 40 "
        f"clips of fold {content['folds'][0]} to test on:\n\n{students_table(content)}\n\nIt is ahead after one "
        "epoch; after eight the two differ by no more than their seeds."
    )


def distillation() -> str:
    content = result("study_distillation")
    own = content["rows"]["ensemble"].values()
    mean = {name: fmean(of_fold[name] for of_fold in own) for name in ("score of labels", "score of others")}
    return (
        "Models of ESC-10's recipe, their ensemble, and students that learn from its scores, fold "
        f"{', '.join(map(str, content['folds']))} held out, {len(content['seeds'])} seeds:\n\n{students_table(content)}"
        "\n\nThe ensemble is better than its members, and the students do not have that from it. It was trained on the "
        f"clips that it scores: their labels have a mean score of {mean['score of labels']:.2f}, everything else "
        f"{mean['score of others']:.3f}, so that its scores say little more than the labels do. With so few clips, "
        "cross-fit the teachers, or take one that was trained on more."
    )


def mixtures() -> str:
    content = result("study_mixtures")
    teachers = fmean(run[OF_TEACHERS] for run in content["rows"]["enhanced"].values())
    return (
        f"Models of mixtures of ESC-10's clips ({MIXTURES[0]} to train on, {MIXTURES[1]} of the held-out fold's to "
        f"test on; {MISSING:.0%} of the labels are missing), fold {', '.join(map(str, content['folds']))} held out, "
        f"{len(content['seeds'])} seeds. Gains are over the labels as they are, seed by seed:\n\n"
        f"{students_table(content, BASES['mixtures'])}\n\nThe teachers, {CROSS_FIT} for each seed, have a mAP of "
        f"{teachers:.2f} in the mixtures that they did not hear, against all true labels."
    )


def students_table(content: Mapping, base: str | None = None) -> str:
    """Rows of a study of starts or teachers, and where they come from."""
    commits = sorted({run["commit"] for runs in content["rows"].values() for run in runs.values() if "commit" in run})
    origin = f"{markdown_origin(content)}; runs of the commits {', '.join(commits)}."
    table = markdown_figures(summary(content["rows"], base), "averaged weights of")
    return f"{table}\n\nMean ± standard deviation. {origin}"


def shipped() -> str:
    content = result("study_shipped_tagger")
    foreign = next(iter(content["results"]["with other sounds"].values()))["foreign"]
    files = {
        folder: f"{figures['files']} recordings, {figures['hours']:.1f} hours" for folder, figures in foreign.items()
    }
    return (
        f"{markdown_figures(shipped_rows(content['results']), 'model, threshold')}\n\nRecall and precision: of the "
        "clips of fold 5, at the highest threshold that keeps 95 % of the labels of fold 4, and at 0.5, by models of "
        "folds 1 to 3. The last model, of all folds, is the one that is shipped, with the threshold of the one before. "
        "Made sounds: share of held-out made sounds, of which none is one of the ten, in which one is heard. The other "
        "columns: real recordings of other things, the share of 5-second windows in which one of the ten is heard, and "
        f"false alarms an hour; of GitHub's repositories remvze/moodist (commit 983f7412e8cd: {files['moodist']}), and "
        f"iver56/audiomentations (73b9448) and librosa/data (450cdd8: {files['others']} together, mostly music and "
        "speech), without those whose names say that one of the ten may be in them. No model has learned from any; "
        "moodist's were looked at while the made sounds were chosen. "
        f"{markdown_origin(content)}."
    )


def peers() -> str:
    content = result("study_own_sounds")
    rows = content["results"]
    others = max(row["accuracy"] for name, row in rows.items() if name != "psla train")
    return (
        "What else one would do with such a folder, on the same clips and spectrograms: fine-tune timm's model "
        "plainly (cross-entropy, Adam, a rate that falls to 0, the same batch), or let scikit-learn tell its ImageNet "
        f"features apart:\n\n{markdown_figures(rows, 'how')}\n\n`psla train` wins by "
        f"{100 * (rows['psla train']['accuracy'] - others):.0f} points of accuracy, which is three of 60 clips and one "
        f"seed; in mAP the three stand in the same order, and the first two close together. {markdown_origin(content)}."
    )


def ablation() -> str:
    content = result("study_ablation")
    runs = next(iter(content["rows"].values())).values()
    commits = sorted({run["commit"] for runs in content["rows"].values() for run in runs.values()})
    return (
        f"{markdown_figures(ablation_rows(content), 'mAP of')}\n\nMean ± standard deviation over {len(runs)} seeds. "
        "The difference is that of the averaged weights, with the middle 95 % of a bootstrap of seeds and test clips, "
        "the same ones for both rows; three seeds make that too narrow rather than too wide, so each seed's follows. "
        f"The last columns are the paper's differences, of its ensembles of epochs (Tables XII and XIV). "
        f"{markdown_origin(content)}; runs of the commits {', '.join(commits)}."
    )


def ablation_groups() -> str:
    groups = result("study_ablation")["groups"]
    table = {row: {group: f"{ap:.3f}" for group, ap in of_row.items()} for row, of_row in groups.items()}
    return markdown_figures(table, "mean AP of")


def ablation_labels() -> str:
    """What the first study's teachers added."""
    of_seeds = list(result("study_ablation")["labels"].values())
    figures = over_seeds(of_seeds, ["added_percent", "precision", "recall"])
    given, missing = (sum(seed[name] for seed in of_seeds) for name in ("given", "missing"))
    return (
        f"Of {given + missing:,} labels {missing:,} were lost. The teachers gave back {figures['recall']} of these; "
        f"{figures['precision']} of what they added is true (25th percentile, both types of relations)."
    )


def ablation_aggregation() -> str:
    return markdown_figures(aggregation_rows(result("study_ablation")), "mAP gained")


def ablation_course() -> str:
    """The mAP of the epochs themselves."""
    rows = result("study_ablation")["rows"]
    epochs = len(next(iter(rows[FULL].values()))["mAP"])
    shown = [epoch for epoch in range(1, epochs + 1) if epoch % 3 == 0]
    table = {
        row: {f"epoch {epoch}": f"{fmean(run['mAP'][epoch - 1] for run in runs.values()):.3f}" for epoch in shown}
        | {"loss, last two epochs": " ".join(f"{fmean(run['loss'][k] for run in runs.values()):.3f}" for k in (-2, -1))}
        for row, runs in rows.items()
    }
    return markdown_figures(table, "mAP of the epoch itself")


def events() -> str:
    content = result("study_events")
    silence, noise = (content["events"][background] for background in ("silence", "noise"))
    table = markdown_figures(content["results"], "background, scores, threshold")
    return (
        f"How well events are found ({silence} clips of the held-out fold at known times in half an hour of silence, "
        f"and {noise} in pink noise 20 dB below them): F1, precision and recall by seconds, and by onsets that are "
        f"right within half a second, by `sed_eval`. Nothing was tuned.\n\n{table}\n\n{markdown_origin(content)}."
    )


def selection() -> str:
    content = result("study_esc10_selection")
    runs, among = content["runs"], content["tested_among"]
    commits = sorted({run["commit"] for run in runs.values()})
    later = [name for name in validation_rows(runs) if name not in among]
    tested = tested_settings(
        runs, among, f" before there were {', '.join(f'“{name}”' for name in later)}" if later else ""
    )
    if later and figures_by_seed(runs):
        tested += f"\n\n{tested_settings(runs, list(SETTINGS), ' among all of them')}"
    return (
        f"{markdown_figures(validation_rows(runs), 'settings')}\n\nEach figure is of 160 clips, 80 in each of two "
        "folds, by runs of 240 clips that heard neither these nor the fold they choose for; one seed. A tick: chosen."
        f"\n\n{tested} {markdown_origin(content)}; runs of the commits {', '.join(commits)}."
    )


def tested_settings(runs: Mapping[str, Any], among: Sequence[str], which: str) -> str:
    """A table of what was chosen among some settings, and what it is."""
    seeds = list(figures_by_seed(runs, among))
    spread = (
        f"mean ± standard deviation over the seeds {', '.join(map(str, seeds))}" if seeds[1:] else f"seed {seeds[0]}"
    )
    return (
        f"{markdown_figures(fold_rows(runs, among), 'fold')}\n\nWhat was chosen{which}, trained on four folds and "
        f"tested on the fifth: averaged weights, {spread}."
    )


def together() -> str:
    content = result("study_esc10_ensembles")
    runs = content["runs"]
    tested = {
        title: {metric: f"{figure:.3f}" for metric, figure in figures.items()}
        for title, figures in tested_rows(runs).items()
    }
    return (
        f"{markdown_figures(tested, 'models')}\n\nThe mean of the probabilities of the seeds "
        f"{', '.join(map(str, content['together']))}, over all folds.\n\n"
        f"{markdown_figures(validation_rows(runs, ENSEMBLES), 'ensemble')}\n\nValidated as the settings above, "
        f"with seed 0. {markdown_origin(content)}; runs of the commits {', '.join(content['trained_by'])}."
    )


def headline() -> str:
    """Accuracy and mAP over all folds of ESC-10, which are of equal size, and seeds."""
    content = result("study_esc10_selection")
    seeds = figures_by_seed(content["runs"], content["tested_among"])
    found = [of_fold for folds in seeds.values() for of_fold in folds.values()]
    accuracy, precision = (fmean(of_fold[name] for of_fold in found) for name in ("accuracy", "mAP"))
    [ensemble] = tested_rows(result("study_esc10_ensembles")["runs"]).values()
    return (
        f"On ESC-10, over all five folds and {len(seeds)} seeds, the settings that were chosen without "
        f"the fold (`esc10/moved` for most)\nreach {accuracy:.1%} accuracy and {precision:.3f} mAP; the seeds together "
        f"{ensemble['accuracy']:.1%} and {ensemble['mAP']:.3f}."
    )


def resamplers() -> str:
    content = result("study_resamplers")
    models = content["results"]
    rows = {
        f"{resampler}, {Path(model).name}": figures
        for model, of_model in models.items()
        for resampler, figures in of_model.items()
    }
    return f"{markdown_figures(rows, 'resampler, model')}\n\n{content['clips']} clips. {markdown_origin(content)}."
