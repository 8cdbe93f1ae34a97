"""`psla report`: the results of runs as tables, those of several side by side."""

from .arguments import MESSAGES, Messages


def report(runs: list[str], /, *, messages: Messages = MESSAGES) -> None:
    """Print the results of runs.

    Of a run that is not finished it says how far it is.

    For example:
        psla report runs/seed0 runs/seed1

    Args:
        runs: Output folders of psla train or psla aggregate.
        messages: How much is said.
    """
    from psla_hf.reports.tables import AGGREGATE_NAMES, METRICS, RESULT_NAMES, print_epoch, print_figures, print_metrics
    from psla_hf.training.run_folder import read_epochs, read_results

    names = AGGREGATE_NAMES | RESULT_NAMES
    finished, unfinished = {}, {}
    for run in runs:
        try:
            finished[run] = read_results(run)["results"]
        except FileNotFoundError:
            unfinished[run] = read_epochs(run)
    if len(finished) == 1:
        for run, results in finished.items():
            print_metrics({names[kind]: metrics for kind, metrics in results.items()}, run)
    elif finished:
        kinds = list(dict.fromkeys(kind for results in finished.values() for kind in results))
        for metric in METRICS:
            rows = {
                names[kind]: {
                    run: f"{results[kind][metric]:.4f}" if metric in results.get(kind, {}) else ""
                    for run, results in finished.items()
                }
                for kind in kinds
            }
            if any(figure for row in rows.values() for figure in row.values()):
                print_figures(rows, metric, "model")
    for run, epochs in unfinished.items():
        print(f"{run} is not finished. Its last epoch so far:")
        print_epoch(epochs[-1])
