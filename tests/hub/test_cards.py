"""A card says what the result file says, and nothing that it does not say."""

import json
import re
import shutil

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index

from psla_hf.aggregation.aggregate import ensemble, save_aggregate
from psla_hf.aggregation.members import find_members
from psla_hf.data.sources import SOURCES
from psla_hf.data.toy import SCENE_CLASSES
from psla_hf.hub.model_card import CARDS, data_set, model_card
from psla_hf.reports.markdown import markdown_code, markdown_text, render
from psla_hf.training.recipes import TARGETS
from tests import published
from tests.published import ABOUT, HOSTILE, LITERAL, LOAD, change, literal_tables

run, together = published.run, published.together


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run whose results may be changed, and the path of these."""
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy", tmp_path / "copy" / "results.json"


def results(folder) -> dict:
    return json.loads((folder / "results.json").read_text())


def row(card: ModelCard, name: str) -> list[str]:
    """The figures beside a name, in whichever table."""
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", card.text, re.MULTILINE)
    return found.split(" | ")


def one_line(card: ModelCard) -> str:
    return " ".join(card.text.split())


@pytest.mark.parametrize(
    ("place", "figures", "bold"),
    [(".", "averaged", "averaged weights"), ("last_epoch", "last_epoch", "last epoch")],
    ids=["averaged", "single"],
)
def test_the_figures_of_a_run_are_its_results(run, place, figures, bold):
    card, measured = model_card(run / place, "user/esc10"), results(run)["results"]
    for name, what in (
        ("averaged weights", "averaged"),
        ("last epoch", "last_epoch"),
        ("checkpoint ensemble", "ensemble"),
    ):
        shown = f"**{name}**" if name == bold else name
        assert row(card, shown) == [f"{measured[what][metric]:.4f}" for metric in ("mAP", "AUC", "d_prime")]
    listed = {result.metric_type: result.metric_value for result in card.data.eval_results}
    own = measured[figures]
    assert listed == pytest.approx({"mAP": own["mAP"], "roc_auc": own["AUC"], "d_prime": own["d_prime"]}, abs=1e-6)


def test_the_metadata_is_what_the_hub_reads(run):
    card = model_card(run, "user/esc10")
    data = yaml.safe_load(str(card).split("---")[1])
    assert (data["library_name"], data["pipeline_tag"], data["license"]) == (
        "transformers",
        "audio-classification",
        "apache-2.0",
    )
    assert {"audio-tagging", "psla", "weight-averaging"} == set(data["tags"])
    assert data["datasets"] == ["ashraq/esc50"] and data["metrics"] == ["mAP", "roc_auc", "d_prime"]
    assert "base_model" not in data  # from random weights
    again = ModelCard(str(card)).data
    assert eval_results_to_model_index(again.model_name, again.eval_results) == data["model-index"]
    assert data["model-index"][0]["name"] == "esc10"


def test_a_card_says_how_the_model_was_made(run):
    card, content = model_card(run, "user/esc10").text, results(run)
    for said in (
        content["commit"],
        content["versions"]["timm"],
        "from random weights",
        "last 2 epochs",
        "| esc10 | fold 1 23, fold 2 20 | 44 | 43 | 1 | 0 | 0.01 |",
        "One clip has no label.",
        "| learning_rate | 0.001 |",
        "Seed 0",
        "23 clips",
        "20 clips, so that one clip is 5.00 % of accuracy",
        TARGETS["esc10"].source,
        "| humans | 0.9570 |",
        "piczak2015esc",
        "gong2021psla",
        *SCENE_CLASSES,
    ):
        assert str(said) in card, said


def test_an_ensemble_tells_its_members_and_their_runs(together, run):
    card, content = model_card(together, "user/both"), results(together)
    assert "2 [PSLA](https://arxiv.org/abs/2102.01243) models" in card.text
    for member in content["members"]:
        assert row(card, member["name"])[0] == f"{member['results']['mAP']:.4f}"
    for name, what in (("**ensemble**", "ensemble"), ("mean of the members", "members_mean")):
        assert row(card, name)[0] == f"{content['results'][what]['mAP']:.4f}"
    assert "come from 1 run of training" in card.text and results(run)["commit"] in card.text
    assert set(card.data.tags) == {"audio-tagging", "psla", "ensemble"}


@pytest.mark.parametrize("missing", ["seed", "recipe", "data", "clips", "commit", "results", "classes", "machine"])
@pytest.mark.parametrize("how", ["left out", "empty"])
def test_what_the_results_lack_is_an_error(copy, missing, how):
    folder, path = copy
    if how == "left out" or missing == "commit":
        change(path, missing)
    else:
        change(path, **{missing: None})
    with pytest.raises(ValueError, match=missing):
        model_card(folder)


@pytest.mark.parametrize("part", ["source", "splits", "hours", "missing", "notes"])
def test_what_a_load_of_the_data_lacks_is_an_error(copy, part):
    folder, path = copy
    change(path, data={**ABOUT, "parts": {"train": {name: value for name, value in LOAD.items() if name != part}}})
    with pytest.raises(ValueError, match=f"missing: {part}"):
        model_card(folder)


def test_without_a_git_tree_a_card_names_the_version(copy, together, tmp_path):
    folder, path = copy
    change(path, commit=None)
    outside = f"psla-hf {results(folder)['psla_hf']}, not from a git tree"
    assert one_line(model_card(folder)).count(outside) == 1
    shutil.copytree(together, tmp_path / "both")
    runs = [training | {"commit": None} for training in results(together)["runs"]]
    change(tmp_path / "both" / "results.json", runs=runs, commit=None)
    assert one_line(model_card(tmp_path / "both")).count(outside) == 2  # of the making, and of its members' training


def test_a_label_set_is_no_load_of_data_and_is_told(copy, together, tmp_path):
    figures = {"name": "mean", "clips": 23, "labels_before": 40, "labels_after": 47, "soft": True}
    folder, path = copy
    change(path, data={**ABOUT, "label_set": figures})
    card, said = model_card(folder), "label set `mean` with soft labels: 40 labels before its enhancement, 47 after it"
    assert f"Trained on the {said}." in one_line(card) and "piczak2015esc" in card.text
    assert len(re.findall(r"^\| esc10 \|", card.text, re.MULTILINE)) == 1
    shutil.copytree(together, tmp_path / "both")
    runs = [training | {"data": {**ABOUT, "label_set": figures}} for training in results(together)["runs"]]
    change(tmp_path / "both" / "results.json", runs=runs)
    assert f"was trained on the {said}." in one_line(model_card(tmp_path / "both"))


def test_streamed_clips_have_a_row_and_perhaps_no_known_length(copy):
    folder, path = copy
    found = {"splits": {"train": 9}, "listed": 9, "found": 9, "hours": None, "notes": [], "missing": 0, "unreadable": 0}
    streamed = found | {"source": "AudioSet balanced_train, unbalanced_train (streamed)"}
    parts = {"train": streamed, "test": found | {"source": "AudioSet eval (2 shards)"}}
    change(path, data={"dataset": "audioset_full", "parts": parts})
    card = model_card(folder)
    assert card.data.eval_results[0].dataset_name == "AudioSet"
    assert row(card, streamed["source"]) == ["train 9", "9", "9", "0", "0", "unknown"]


@pytest.mark.parametrize(
    ("recipe", "seconds", "said"),
    [
        (
            {"epochs": 2, "average_last": 8},
            [30.0, 50.5],
            ["last 2 epochs of a", "mean of the figures of the last 2 epochs,", "80.5 seconds of training in all"],
        ),
        (
            {"epochs": 1, "average_last": 8},
            [600.0],
            ["of the last epoch of a", "is the only epoch,", "1 epoch of 23 clips, 10 minutes of training in all"],
        ),
        (
            {"epochs": 20, "average_last": 8},
            [3600.0] * 20,
            ["last 8 epochs of a", "mean of the figures of the last 5 epochs,", "20.0 hours of training in all"],
        ),
    ],
    ids=["two", "one", "twenty"],
)
def test_numbers_of_epochs_and_times_are_those_of_the_run(copy, recipe, seconds, said):
    folder, path = copy
    changes = recipe | {"report": "last5"}
    groups = results(folder)["recipe"].items()
    settings = {group: {name: changes.get(name, value) for name, value in named.items()} for group, named in groups}
    change(path, recipe=settings, epochs=[{"seconds": of_epoch} for of_epoch in seconds])
    for words in (*said, "evaluation not counted"):
        assert words in one_line(model_card(folder)), words


def test_results_of_another_ensemble_or_of_no_model_have_no_card(run, together, tmp_path):
    shutil.copytree(together, tmp_path / "both")
    path = tmp_path / "both" / "results.json"
    members = results(together)["members"]
    change(path, members=[*members, members[0] | {"name": "third"}])
    with pytest.raises(ValueError, match="3 members in the results, it has 2"):
        model_card(tmp_path / "both")
    shutil.copytree(run, tmp_path / "single")
    shutil.copy(together / "results.json", tmp_path / "single")
    with pytest.raises(ValueError, match="2 members in the results, it has 0"):
        model_card(tmp_path / "single")
    change(path, members=members, model=False)
    with pytest.raises(ValueError, match="none was made"):
        model_card(tmp_path / "both")
    change(path, model=True, kind="soup")
    with pytest.raises(ValueError, match="got 'soup'"):
        model_card(tmp_path / "both")


def test_an_ensemble_that_was_not_tested_has_no_card(run, accelerator, tmp_path):
    members = find_members([str(run), str(run / "last_epoch")])
    content = save_aggregate(ensemble(members), tmp_path / "both", accelerator)
    assert content["model"] and content["members"][0]["results"] is None
    change(tmp_path / "both" / "results.json", clips={"test": 20}, classes=list(SCENE_CLASSES), data=ABOUT)
    with pytest.raises(ValueError, match="Aggregate with data"):
        model_card(tmp_path / "both")


def test_a_run_that_does_not_say_where_it_began_has_no_card(copy):
    folder, path = copy
    change(path, "imagenet_weights")
    with pytest.raises(ValueError, match="imagenet_weights"):
        model_card(folder)


def test_a_model_tested_on_other_data_than_its_own_names_them(together, tmp_path):
    shutil.copytree(together, tmp_path / "both")
    change(tmp_path / "both" / "results.json", data={"dataset": "fsd50k", "parts": {"test": LOAD}})
    card = model_card(tmp_path / "both")
    assert "On 20 clips of FSD50K that it was not trained on; " in one_line(card)
    assert card.data.eval_results[0].dataset_name == "FSD50K" and card.data.datasets == ["ashraq/esc50"]
    assert "models for ESC-10 as one" in one_line(card) and "piczak2015esc" in card.text


@pytest.mark.parametrize("figure", [None, float("nan")])
def test_a_figure_that_was_not_measured_is_an_error(copy, figure):
    folder, path = copy
    measured = results(folder)["results"]
    change(path, results=measured | {"last_epoch": measured["last_epoch"] | {"AUC": figure}})
    with pytest.raises(ValueError, match="AUC of last_epoch"):
        model_card(folder)


@pytest.mark.parametrize(("auc", "shown"), [(1.0, "∞"), (0.0, "-∞"), (0.75, "not finite")])  # the last: a mean
def test_a_faultless_ranking_and_its_reverse_have_no_finite_d_prime(copy, auc, shown):
    folder, path = copy
    measured = results(folder)["results"]
    change(path, results=measured | {"averaged": measured["averaged"] | {"AUC": auc, "d_prime": None}})
    card = model_card(folder)
    assert row(card, "**averaged weights**")[1:] == [f"{auc:.4f}", shown]
    assert {result.metric_type for result in card.data.eval_results} == {"mAP", "roc_auc"}


def test_the_fold_is_the_recorded_one_and_members_held_it_out_too(run, together, tmp_path):
    third = {**ABOUT, "fold": 3}
    shutil.copytree(run, tmp_path / "run")
    change(tmp_path / "run" / "results.json", data=third, command="train.py --fold 2")  # words decide nothing
    card = model_card(tmp_path / "run")
    assert "fold 3" in card.text and {result.dataset_split for result in card.data.eval_results} == {"fold 3"}
    change(tmp_path / "run" / "results.json", data={**ABOUT, "fold": 0})  # as a table of one's own may count them
    card = model_card(tmp_path / "run")
    assert "fold 0" in card.text and {result.dataset_split for result in card.data.eval_results} == {"fold 0"}

    shutil.copytree(together, tmp_path / "both")
    path = tmp_path / "both" / "results.json"
    change(path, runs=[training | {"data": third} for training in results(together)["runs"]], data=third)
    assert "fold 3" in model_card(tmp_path / "both").text
    change(path, data=ABOUT)  # tests on fold 1
    with pytest.raises(ValueError, match=r"on fold 1, .* \['3'\]"):
        model_card(tmp_path / "both")


def test_without_results_there_is_no_card(saved_model):
    with pytest.raises(FileNotFoundError, match=r"Expected the results of the model in .*results\.json"):
        model_card(saved_model)


def test_members_of_unknown_origin_have_no_card(together, tmp_path):
    shutil.copytree(together, tmp_path / "both")
    members = [member | {"run": None} for member in results(together)["members"]]
    change(tmp_path / "both" / "results.json", members=members)
    with pytest.raises(ValueError, match=r"say.* how they were trained"):
        model_card(tmp_path / "both")


@pytest.mark.parametrize(
    ("dataset", "subset", "sources", "name"),
    [
        ("esc", "esc10", ["esc"], "ESC-10"),
        ("esc", "audioset", ["esc50, classes that AudioSet has"], "ESC-50"),
        (
            "audioset_balanced",
            None,
            ["AudioSet balanced_train (x.csv)", "AudioSet eval (y.csv)"],
            "AudioSet (balanced)",
        ),
        ("audioset_full", None, ["AudioSet balanced_train (x.csv)", "AudioSet unbalanced_train (y.csv)"], "AudioSet"),
        (
            "audioset_full",
            None,
            ["AudioSet eval (y)", "AudioSet balanced_train, unbalanced_train (streamed)"],
            "AudioSet",
        ),
        ("audioset_full", None, [], "AudioSet"),
        ("fsd50k", None, ["FSD50K train", "FSD50K eval"], "FSD50K"),
        ("own", None, ["birds.csv", "birds.csv"], "birds.csv"),
        ("own", None, ["audioset of mine"], "audioset of mine"),
    ],
)
def test_the_data_set_is_the_recorded_one(dataset, subset, sources, name):
    parts = {str(number): {"source": source} for number, source in enumerate(sources)}
    facts = {"dataset": dataset, "subset": subset, "parts": parts}
    assert data_set(facts).name == name


@pytest.mark.parametrize("key", SOURCES)
def test_every_data_set_has_its_terms_and_limits(key):
    for card in (SOURCES[key].card, *SOURCES[key].cards_by_subset.values()):
        values = {"card": card, "clips": {"test": 80}, "fold": None}
        limits = CARDS.from_string("{{ card.limits | template }}").render(values)
        assert len(card.terms) > 20 and limits.startswith("-") and "{{" not in limits
        assert card.bibtex.startswith("@") or key == "own"


def test_a_template_without_a_value_is_an_error():
    with pytest.raises(ValueError, match="'card_data' is undefined"):
        render(CARDS, "single.md.jinja", {})


def test_what_users_named_is_shown_as_they_named_it(copy):
    """A class, a source and a note with Markdown and HTML in them are text, and tables keep their columns."""
    folder, path = copy
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["0"] = HOSTILE
    (folder / "config.json").write_text(json.dumps(config | {"label2id": None}))
    classes = [HOSTILE, *results(folder)["classes"][1:]]
    load = {**LOAD, "source": HOSTILE, "notes": [HOSTILE]}
    change(path, classes=classes, data={"dataset": "own", "parts": {"train": load}})
    card = model_card(folder, "user/esc10").text
    assert f"The classes are {LITERAL}, " in " ".join(card.split())
    tables = literal_tables(card)
    assert sum(LITERAL in table for table in tables) == 2  # the classes and the loads of the data
    assert markdown_text(HOSTILE) == LITERAL


@pytest.mark.parametrize(
    ("text", "code"), [("a b", "`a b`"), ("a`b", "``a`b``"), ("a``b", "```a``b```"), ("`a`", "`` `a` ``")]
)
def test_backticks_are_part_of_code(text, code):
    assert markdown_code(text) == code


def test_what_a_manifest_names_is_shown_as_it_is_named():
    """Titles, splits, sources, licences, classes and clips of prepared data are the user's words, too."""
    found = {"clips": 2, "hours": 0.5, "clipped": 0, "cut_short": [], "dropped": [HOSTILE]}
    splits = {HOSTILE: {**found, "source": HOSTILE, "class_counts": {HOSTILE: 2}}}
    vocabulary = {"names": [HOSTILE], "mids": [HOSTILE], "fingerprint": "0"}
    head = {"card_data": "", "name": HOSTILE, "license": HOSTILE, "manifest_file": "manifest.json", "clips": 2}
    card = render(
        CARDS, "prepared.md.jinja", {**head, "sampling_rate": 16000, "splits": splits, "vocabulary": vocabulary}
    )
    assert [table.count(LITERAL) for table in literal_tables(card)] == [2, 3] and card.startswith(
        f"---\n\n---\n\n# {LITERAL}\n"
    )
