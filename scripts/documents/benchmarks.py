"""Figures of the benchmarks. Knows no studies."""

from collections.abc import Mapping

from benchmarks.growth import growth_rows
from psla_hf.reports.markdown import markdown_figures, markdown_origin

from .results import result


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
