"""Bring the figures in the documents up to date with the result files: python -m scripts.update_documents."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks.growth import growth_rows
from psla_hf.commands.arguments import command_line
from psla_hf.reports.markdown import markdown_figures, markdown_origin
from scripts.demo import enhancement_sentence, letter_rows
from studies.ablation import FULL, ablation_rows, aggregation_rows
from studies.esc10_selection import validation_rows
from studies.label_enhancement import STUDY_TABLES, over_seeds
from studies.shipped_tagger import table as shipped_rows
from studies.students import BASES, CROSS_FIT, MISSING, MIXTURES, OF_TEACHERS, summary

ROOT = Path(__file__).parents[1]
RESULT_COLUMNS = {"averaged weights": "averaged", "last epoch": "last_epoch", "checkpoint ensemble": "ensemble"}
RUNS = {
    "ImageNet weights": "esc10_fold1_imagenet",
    "random weights": "esc10_fold1_random",
}


def result(name: str) -> dict:
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def runs() -> str:
    return f"{markdown_results({name: result(file) for name, file in RUNS.items()})}\n\n{killed()}"


def markdown_results(runs: Mapping[str, Mapping]) -> str:
    """A Markdown table of training runs, with what each figure needs to be believed below it.

    Args:
        runs: What `results.json` holds, by the name of the row.

    Raises:
        KeyError: A run lacks a figure: a missing number is an error, not a dash.
    """
    lines = _result_rows("run", {name: run["results"] for name, run in runs.items()})
    for name, run in runs.items():
        clips = run["clips"]
        lines.append("")
        lines.append(
            f"{name}: {markdown_origin(run)}, seed {run['seed']}, {clips['train']} clips to train on, {clips['test']} "
            "to test on."
        )
    return "\n".join(lines)


def markdown_folds(runs: Mapping[str, Mapping]) -> str:
    """A Markdown table of a cross-validation: the mean over the folds and each of them; clips are counted alike.

    Args:
        runs: What `results.json` holds, by fold; one recipe, commit and seed.

    Raises:
        ValueError: The runs differ in more than their data and their command.
        KeyError: A run lacks a figure.
    """
    for what in ("recipe", "commit", "seed", "versions"):
        if any(run[what] != next(iter(runs.values()))[what] for run in runs.values()):
            raise ValueError(f"Expected folds of one cross-validation, their {what} differ.")
    results = {fold: run["results"] for fold, run in runs.items()}
    weights = [run["clips"]["test"] for run in runs.values()]
    mean = {
        kind: {
            metric: float(np.average([of_fold[kind][metric] for of_fold in results.values()], weights=weights))
            for metric in ("accuracy", "mAP")
        }
        for kind in RESULT_COLUMNS.values()
    }
    first = next(iter(runs.values()))
    lines = _result_rows("fold", {f"**all {len(runs)}**": mean, **results})
    origin = f"{markdown_origin(first)}, seed {first['seed']}, and likewise for the other folds."
    return "\n".join([*lines, "", origin])


def _result_rows(first_column: str, results: Mapping[str, Mapping]) -> list[str]:
    """The lines of a Markdown table: accuracy and mAP of the averaged weights, the last epoch and the ensemble."""
    lines = [
        f"| {first_column} | " + " | ".join(f"{column}: accuracy / mAP" for column in RESULT_COLUMNS) + " |",
        "| --- |" + " --- |" * len(RESULT_COLUMNS),
    ]
    for name, of_run in results.items():
        cells = (of_run[key] for key in RESULT_COLUMNS.values())
        lines.append(f"| {name} | " + " | ".join(f"{c['accuracy']:.1%} / {c['mAP']:.3f}" for c in cells) + " |")
    return lines


def killed() -> str:
    """What came of the same run, killed and resumed, with BatchNorm's statistics of the average estimated anew."""
    straight, resumed = result(RUNS["ImageNet weights"]), result("esc10_fold1_killed_and_resumed")
    for name, metrics in straight["results"].items():
        if resumed["results"][name] != metrics:
            raise ValueError(f"Expected the resumed run to end as the other one did, its {name} differs.")
    anew = resumed["results"]["averaged_reestimated"]
    return (
        "The run with ImageNet weights once more, killed twice by SIGKILL and resumed, ended with the same figures and "
        f"weights to the bit (`{resumed['command']}`); with BatchNorm's statistics estimated anew, the averaged "
        f"weights reach {anew['accuracy']:.1%} / {anew['mAP']:.3f}."
    )


def selection() -> str:
    content = result("study_esc10_selection")
    runs = content["runs"]
    commits = sorted({run["commit"] for run in runs.values()})
    return (
        f"{markdown_figures(validation_rows(runs), 'settings')}\n\nEach figure is of 160 clips, 80 in each of two "
        "folds, by runs of 240 clips that heard neither these nor the fold they choose for; one seed. A tick: chosen. "
        f"{markdown_origin(content)}; runs of the commits {', '.join(commits)}."
    )


def folds() -> str:
    return markdown_folds({str(fold): result(f"esc10_fold{fold}_imagenet") for fold in range(1, 6)})


def headline() -> str:
    """Accuracy and mAP of averaged weights over all folds of ESC-10, which are of equal size."""
    averaged = [result(f"esc10_fold{fold}_imagenet")["results"]["averaged"] for fold in range(1, 6)]
    accuracy, precision = (fmean(metrics[name] for metrics in averaged) for name in ("accuracy", "mAP"))
    return (
        f"On ESC-10, over all five folds, the averaged weights reach {accuracy:.1%} accuracy and {precision:.3f} mAP."
    )


def features() -> str:
    content = result("benchmark_features")
    results = content["results"]
    first = next(iter(results))
    rows = {
        way: {name: figure for name, figure in figures.items() if name != "time_shares"}
        for way, figures in results.items()
    }
    shares = ", ".join(f"{operation} {share:.0%}" for operation, share in results[first]["time_shares"].items())
    return "\n\n".join(
        (
            markdown_figures(rows, "log-mel spectrograms of 32 clips of 10 s"),
            f"Ratio: how many times as long as {first} it takes. Where {first}'s time goes: {shares}.",
            f"{markdown_origin(content)}.",
        )
    )


def data() -> str:
    content = result("benchmark_data")
    looks = content["results"]["memory"]
    speed = markdown_figures(content["results"]["speed"], "way")
    sizes = [look["mb"] for look in looks[len(looks) // 10 :]]
    memory = (
        f"Memory of a process that streams: {looks[0]['mb']:.0f} MB at the beginning, between {min(sizes):.0f} and "
        f"{max(sizes):.0f} MB after a tenth of the time, {looks[-1]['mb']:.0f} MB after "
        f"{looks[-1]['minute']:.0f} minutes and {looks[-1]['clips']:,} clips."
    )
    return (
        f"{speed}\n\nRatio: how many times as long the plain loader takes.\n\n{memory}\n\n{markdown_origin(content)}."
    )


def sampling() -> str:
    content = result("benchmark_sampling")
    results = content["results"]
    opening, coverage, law = results["opening"], results["coverage"], results["law"]["stream"]
    return "\n\n".join(
        (
            markdown_figures(results["order"], f"order of {opening['clips']:,} clips, batches of 100"),
            "Repeated pairs: pairs of the same clip within a batch. Class distance: total variation between a batch's "
            "class histogram and the epoch's.",
            f"Chi-square of an epoch's counts, per degree of freedom: mean {law['mean']:.3f}, variance "
            f"{law['variance']:.2f} of what independent draws have. An epoch uses "
            f"{coverage['used_in_an_epoch']:.1%} of the clips; {coverage['unseen_after_30_epochs']:.1%} are never seen "
            f"in 30 epochs. Opening all shards takes {opening['seconds_to_open']:.1f} s, planning an epoch "
            f"{opening['seconds_to_plan']:.1f} s, and both {opening['additional_mb']:.0f} MB.",
            f"{markdown_origin(content)}.",
        )
    )


def inference() -> str:
    return rates("benchmark_inference")


def training() -> str:
    return rates("benchmark_training")


def rates(name: str) -> str:
    """Speeds of a benchmark's ways, and what became of the machine."""
    content = result(name)
    return (
        f"{markdown_figures(content['results'], 'way')}\n\nMedian, slowest and fastest round; ratio: how many times as "
        f"long the first way takes. {idle(content)} {markdown_origin(content)}."
    )


def idle(content: Mapping) -> str:
    """Whether others had the machine before and after something was measured."""
    load = content["load"]
    state = "**The machine was busy**" if load["busy"] else "The machine was idle before and after"
    return f"{state}: {load['before']:.0%} and {load['after']:.0%} of its cores."


def streaming() -> str:
    content = result("benchmark_streaming")
    table = markdown_figures(content["results"], "model, random weights")
    return (
        f"{table}\n\nSeconds from a hop's last sample to its tags, and the share of the second between two hops. "
        f"{idle(content)} {markdown_origin(content)}."
    )


def contention() -> str:
    content = result("benchmark_contention")
    table = markdown_figures(content["results"], "how threads wait")
    return f"{table}\n\nSeconds of a training step. {idle(content)} {markdown_origin(content)}."


def enhancement() -> str:
    content = result("benchmark_labels")
    whole = content["results"]["whole"]
    return "\n\n".join(
        (
            f"{whole['clips']:,} clips, {whole['classes']} classes, {whole['labels']:,} labels, "
            f"{whole['gigabytes_of_scores']:.1f} GB of float16 scores: {whole['seconds_to_enhance']:.0f} s to add "
            f"{whole['added']:,} labels, {whole['seconds_to_report']:.0f} s for the report's figures, "
            f"{whole['seconds_to_write']:.0f} s to write the label set. Memory: {whole['mb_at_the_peak']:,.0f} MB at "
            f"the peak, {whole['mb_before']:,.0f} MB of it libraries and labels before the start.",
            markdown_figures(content["results"]["slice"], "on a slice"),
            f"Ratio: how many times as long it takes. {markdown_origin(content)}.",
        )
    )


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
    return (
        f"{markdown_figures(shipped_rows(content['results']), 'model, threshold')}\n\nRecall and precision: of the "
        "clips of fold 5, at the highest threshold that keeps 95 % of the labels of fold 4, and at 0.5, by models of "
        "folds 1 to 3. The last model, of all folds, is the one that is shipped, with the threshold of the one before. "
        "Made sounds: share of held-out made sounds, of which none is one of the ten, in which one is heard. The other "
        "columns: real recordings of other things, the share of 5-second windows in which one of the ten is heard, and "
        "false alarms an hour; of GitHub's repositories remvze/moodist (commit 983f7412e8cd, 60 files) and "
        "rafaelmardojai/blanket, mateusfg7/Noisekun and iver56/audiomentations (30 files), without those whose names "
        "say that one of the ten may be in them. Moodist's were looked at while the made sounds were chosen, the rest "
        "was not. "
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


def length() -> str:
    content = result("benchmark_length")
    results = {
        f"{backend}, {hours} hours": figures
        for backend, lengths in content["results"].items()
        for hours, figures in lengths.items()
    }
    change = max(figures["largest_change_by_hand"] for figures in results.values())
    table = {
        name: {
            "MB with the model loaded": f"{figures['mb_loaded']:.0f}",
            "MB at the peak": f"{figures['mb_at_the_peak']:.0f}",
            "minutes": f"{figures['minutes_to_tag']:.2f}",
            "times real time": f"{figures['times_real_time']:.0f}",
        }
        for name, figures in results.items()
    }
    return (
        "Memory against the length of a recording (FLAC, 48 kHz, two channels), of a process that tags it:\n\n"
        f"{markdown_figures(table, 'recording of')}\n\nWindows cut by hand have the same scores within {change:.0e}. "
        f"{idle(content)} {markdown_origin(content)}."
    )


def growth() -> str:
    content = result("benchmark_growth")
    return (
        f"{markdown_figures(growth_rows(content['results']), 'what')}\n\nMedians. Power: of the size that the time "
        "grows with, by least squares: 1 where twice as much takes twice as long, -1 where two take half. "
        f"{idle(content)} {markdown_origin(content)}."
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


def letters() -> str:
    """The demo's table."""
    content = result("demo")
    figures = letter_rows(content["results"])
    return markdown_figures(figures, f"mean ± standard deviation over {len(content['results'])} seeds")


def demo() -> str:
    content = result("demo")
    scenes = content["scenes"]
    return (
        f"{letters()}\n\n{scenes['train']} scenes to train on for each seed, {scenes['test']} to test on. "
        f"{enhancement_sentence(content['results'])} {markdown_origin(content)}."
    )


DOCUMENTS: dict[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"headline": headline, "letters": letters},
    "docs/index.md": {"letters": letters},
    "docs/tag.md": {"shipped": shipped, "events": events, "length": length},
    "docs/train_your_own.md": {"peers": peers},
    "docs/train.md": {"results": runs, "folds": folds, "selection": selection, "resamplers": resamplers, "demo": demo},
    "docs/data.md": {"data": data, "sampling": sampling},
    "docs/benchmarks.md": {
        "features": features,
        "training": training,
        "streaming": streaming,
        "contention": contention,
        "growth": growth,
    },
    "docs/export.md": {"inference": inference},
    "docs/study.md": {
        "ablation": ablation,
        "groups": ablation_groups,
        "labels": ablation_labels,
        "aggregation": ablation_aggregation,
        "course": ablation_course,
    },
    "docs/labels.md": {"benchmark": enhancement, "study": study},
    "docs/teachers.md": {"fine-tuning": fine_tuning, "distillation": distillation, "mixtures": mixtures},
}


def updated(text: str, parts: Mapping[str, Callable[[], str]]) -> str:
    for name, content in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"Expected {begin} and {end} once each in the document.")
        before, after = text.split(begin)[0], text.split(end)[1]
        text = f"{before}{begin}\n{content()}\n{end}{after}"
    return text


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, parts in DOCUMENTS.items():
        path = ROOT / name
        path.write_text(updated(path.read_text(encoding="utf-8"), parts), encoding="utf-8")


if __name__ == "__main__":
    with command_line():
        main()
