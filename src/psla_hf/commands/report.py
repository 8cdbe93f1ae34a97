"""`psla report`: the results of runs as tables, those of several side by side, and of each a page."""

from pathlib import Path

from .arguments import MESSAGES, Messages


def report(runs: list[str], /, *, messages: Messages = MESSAGES) -> None:
    """Print the results of runs, and write a page for each.

    Of a run that is not finished it says how far it is.

    For example:
        psla report runs/seed0 runs/seed1

    Args:
        runs: Output folders of psla train or psla aggregate.
    """
    from psla_hf.reports.tables import (
        AGGREGATE_NAMES,
        METRICS,
        RESULT_NAMES,
        metric_text,
        metric_value,
        print_epoch,
        print_metrics,
        print_table,
    )
    from psla_hf.training.run.folder import CONFIG_FILE, read_epochs, read_results
    from psla_hf.training.run.report import write_report

    finished, unfinished, trained = {}, {}, []
    for run in runs:
        try:
            content = read_results(run)
            names = AGGREGATE_NAMES if "members" in content else RESULT_NAMES
            trained += [run] if "members" not in content and (Path(run) / CONFIG_FILE).is_file() else []
            finished[run] = {names[kind]: metrics for kind, metrics in content["results"].items()}
        except FileNotFoundError:
            unfinished[run] = read_epochs(run)
    if len(finished) == 1:
        for run, results in finished.items():
            print_metrics(results, run)
    elif finished:
        models = list(dict.fromkeys(model for results in finished.values() for model in results))
        for metric in METRICS:
            rows = {
                model: [
                    metric_text(metric_value(results[model], metric)) if metric in results.get(model, {}) else ""
                    for results in finished.values()
                ]
                for model in models
            }
            if any(any(row) for row in rows.values()):
                print_table(rows, metric, ["model", *finished])
    for run in trained:
        print(f"Report: {write_report(run)}")
    for run, epochs in unfinished.items():
        print(f"{run} is not finished. Its last epoch so far:")
        print_epoch(epochs[-1])
