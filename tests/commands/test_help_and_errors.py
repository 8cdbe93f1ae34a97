"""Every command explains itself, quickly and on a narrow terminal; what a user gets wrong is one line."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from psla_hf import __version__ as version
from psla_hf.commands import run
from psla_hf.commands.main import COMMANDS, WAITING

GROUPS = {
    "aggregate": ("average", "ensemble", "curve"),
    "publish": ("model", "labels"),
    "prepare": ("verify",),
}
ALL = [(name,) for name in COMMANDS] + [(name, part) for name, parts in GROUPS.items() for part in parts]
WIDTH, SCREEN = 80, 30  # columns, and lines of a panel


@pytest.fixture
def printed(monkeypatch, capsys):
    """What a command prints on a terminal of 80 columns, and on stderr with its exit status."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def call(*words: object) -> tuple[str, str, int]:
        status = 0
        try:
            run(map(str, words))
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return *capsys.readouterr(), status

    return call


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_fits_the_terminal_and_has_an_example(printed, command):
    for flag in ("--help", "-h"):
        text, error, status = printed(*command, flag)
        assert status == 0 and not error
        assert max(map(len, text.splitlines())) <= WIDTH
        assert max(map(len, (panel.splitlines() for panel in text.split("╭")))) <= SCREEN
        description = text.partition("╭")[0]
        assert re.search(rf"^ +psla {command[0]} .*\w", description.replace("Usage: ", ""), re.MULTILINE)


def test_the_list_of_commands_says_what_their_help_begins_with(printed):
    listed = printed("--help")[0]
    for name, summary in COMMANDS.items():
        assert f" {name} " in listed and summary in listed
        assert summary.rstrip(".") in printed(name, "--help")[0]
    assert printed() == (listed, "", 0) and "--install-completion" in listed


def test_the_version_is_the_packages(printed):
    assert printed("--version") == (f"{version}\n", "", 0)


def test_help_shows_the_defaults_of_the_recipe_that_is_named(printed, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("recipe: fsd50k")
    for words in (["--recipe", "fsd50k"], ["--recipe=fsd50k"], ["--config", config]):
        text = printed("train", "--help", *words)[0]
        assert "[default: 3000]" in text and "[default: 512]" not in text
    assert "[default: 512]" in printed("train", "-h")[0]


LIGHT = """
import sys
from psla_hf.commands import run
run(sys.argv[1:])
heavy = {"torch", "transformers", "accelerate", "timm", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.mark.parametrize(("words", "seconds"), [([], 0.5), *(([*command], 2) for command in ALL)], ids=str)
def test_help_is_quick_and_imports_nothing_that_is_slow(words, seconds):
    """Times are bounds for a machine of one's own; here others may be at work, so they are generous."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", LIGHT, *words, "--help"], check=True, capture_output=True)
    assert time.perf_counter() - begin < 10 * seconds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tagg", "model", "file"], 'Unknown command "tagg". Did you mean "tag"?'),
        (["tag", "model"], "Expected audio files to tag"),
        (["tag", "model", "file", "--topk", "3"], "Unknown option: --topk. Did you mean --top-k?"),
        (["tag", "model", "file", "--top-k", "many"], "--top-k: expected a whole number, got 'many'"),
        (["tag", "nowhere/at/all", "file"], "Expected a saved model"),
        (["evaluate", "model"], "--data-dir requires an argument"),
        (["evaluate", "model", "--data-dir", "d", "--dataset", "esk"], 'Did you mean "esc"?'),
        (["train", "--data-dir", "d", "--output-dir", "o", "--recipe", "esc100"], "The nearest is 'esc10'"),
        (["train", "--data-dir", "d", "--output-dir", "o", "--pooling", "meen"], 'Did you mean "mean"?'),
        (["train", "--data-dir", "d", "--output-dir", "o", "--epochs", "0"], "Expected epochs of at least 1, got 0"),
        (["train", "--data-dir", "d", "--output-dir", "o", "--public"], "--public would have no effect"),
        (["train", "--help", "--recipe", "esc100"], "The nearest is 'esc10'"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["aggregate", "avrage"], 'Did you mean "average"?'),
        (["prepare", "esk", "--data-dir", "d", "--output-dir", "o"], 'Did you mean "esc"?'),
        (["plot"], "expected a RUN_DIR, or --shards"),
        (["report", "nowhere"], "metrics.jsonl"),
        (["convert", "nowhere.pth", "out"], "nowhere.pth"),
        (["convert", "nowhere.pth", "out", "--max-length", "0"], "--max-length of 1 frame or more, got 0"),
        (["listen", "-", "--microphone", "1"], "--microphone would have no effect"),
        (["tag", ""], "an empty one: is a variable not set"),
        (["train", "sounds", "--output-dir="], "expected a value for --output-dir, got an empty one"),
        (["evaluate", "model", "--data-dir", ""], "expected a value for --data-dir, got an empty one"),
        (["listen", "--encoding", "f32le"], "--encoding would have no effect"),
        (["app", "--export", "space", "--port", "80", "--device", "cpu"], "--port, --device would have no effect"),
        (["app", "--export", "space", "--max-megabytes", "inf"], "Expected max_minutes and max_megabytes above 0"),
        (["tag", "a.wav", "--format", "jsonl", "--output", "-"], "Leave it out for standard output"),
        (["publish", "labels", "user/x", "--license", "mit", "--config", "a"], "expected NAME=DIR"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_mistake_is_one_line_and_status_2(printed, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    text, error, status = printed(*words)
    assert (text, status) == ("", 2)
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


# Folders that are no saved tagger, by what was done to one, and what is said of them.
WRONG_MODELS = {
    "nothing in it": (lambda folder: [file.unlink() for file in folder.iterdir()], r"config\.json"),
    "only a configuration": (
        lambda folder: [file.unlink() for file in folder.iterdir() if file.name != "config.json"],
        r"preprocessor_config\.json",
    ),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        r"weights.*safetensors.*again|\*\.safetensors",
    ),
    "a graph alone": (
        lambda folder: (folder / "model.safetensors").rename(folder / "model.onnx"),
        r"it holds an exported model.*Name the model|\*\.safetensors",
    ),
    "a part of the weights": (
        lambda folder: [
            (folder / "model.safetensors").unlink(),
            (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "1-of-1.safetensors"}}'),
        ],
        r"1-of-1\.safetensors.*again",
    ),
    "a damaged configuration": (lambda folder: (folder / "config.json").write_text("{"), r"read .*config\.json.*again"),
    "a damaged extractor": (lambda folder: (folder / "preprocessor_config.json").write_text("{"), "read .*again"),
    "another model": (lambda folder: (folder / "config.json").write_text('{"model_type": "vit"}'), "'?vit'?"),
}

TAKE_A_MODEL = {
    "tag": ["tag", "MODEL", "clip.wav", "--device", "cpu"],
    "listen": ["listen", "MODEL", "-"],
    "evaluate": ["evaluate", "MODEL", "--data-dir", "data"],
    "export": ["export", "MODEL"],
    "app": ["app", "MODEL", "--export", "out"],
    "average": ["aggregate", "average", "MODEL", "--output-dir", "out"],
    "ensemble": ["aggregate", "ensemble", "MODEL", "--output-dir", "out"],
    "publish": ["publish", "model", "MODEL", "someone/name", "--dry-run"],
    "score": ["score", "--teacher", "MODEL", "--data-dir", "data", "--output", "out"],
    "train": ["train", "--init-from", "MODEL", "--data-dir", "data", "--output-dir", "out", "--cpu"],
}


@pytest.mark.parametrize(("damage", "message"), WRONG_MODELS.values(), ids=WRONG_MODELS)
@pytest.mark.parametrize("words", TAKE_A_MODEL.values(), ids=TAKE_A_MODEL)
def test_every_command_says_in_one_line_what_is_wrong_with_a_models_folder(
    printed, saved_model, monkeypatch, capsys, words, damage, message
):
    """Names of the file and what to do, and nothing of what transformers says to programmers."""
    monkeypatch.chdir(saved_model.parent)
    damage(saved_model)
    capsys.readouterr()  # what saving it has said
    text, error, status = printed(*("model" if word == "MODEL" else word for word in words))
    assert (text, status) == ("", 2)
    assert error.count("\n") == 1 and "model" in error and re.search(message, error), error
    assert not re.search(r"huggingface\.co|trust_remote_code|Errno|file named", error), error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "Expected a file of settings in YAML, JSON or TOML, there is no run.yaml. In .* there is"),
        ("folder", "Expected a file of settings in YAML, JSON or TOML, run.yaml is a folder. Name a file"),
        ("a: b: c", "Expected YAML, JSON or TOML in run.yaml, could not read it"),
        ("- epochs", r"Expected a mapping of settings to values in run.yaml, such as epochs: 2, got \['epochs'\]"),
        (b"\xff\x00", "Expected text in UTF-8 in run.yaml, line 1 has the byte 0xff. Save it"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--help"]], ids=["run", "help"])
def test_a_file_of_settings_that_is_none_is_one_line(printed, monkeypatch, tmp_path, content, message, more):
    monkeypatch.chdir(tmp_path)
    if content == "folder":
        (tmp_path / "run.yaml").mkdir()
    elif content is not None:
        (tmp_path / "run.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    text, error, status = printed("train", "--config", "run.yaml", *more)
    assert (text, status) == ("", 2) and re.match(f"error: {message}", error) and error.count("\n") == 1
    assert "Traceback" in printed("train", "--config", "run.yaml", "--debug")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "99999999"], "Expected a port from 1 to 65535, got 99999999. Leave it out"),
        (["--port", "-1"], "Expected a port from 1 to 65535, got -1"),
        (["--port", "0"], "Expected a port from 1 to 65535, got 0"),
        (["--port", "USED"], "Expected a port that is free, something listens on .* Choose another"),
        (["--host", "203.0.113.1"], "Expected an address of this machine as host, .* got 203.0.113.1"),
        (["--host", "no such host"], "Expected an address of this machine as host, .* got no such host"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_where_a_page_cannot_be_served_is_one_line(printed, words, message):
    pytest.importorskip("gradio")
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        taken = str(used.getsockname()[1])
        _, error, status = printed("app", *(taken if word == "USED" else word for word in words))
    assert status == 2 and re.fullmatch(f"error: {message}.*\n", error), error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no such file"),
        (Path.mkdir, "it is a folder"),
    ],
)
def test_a_path_that_the_system_does_not_open_is_said_in_words(printed, tmp_path, make, message):
    make(tmp_path / "labels.csv")
    words = ("convert", tmp_path / "x.pth", tmp_path / "out", "--labels", tmp_path / "labels.csv")
    _, error, status = printed(*words)
    assert status == 2 and "Errno" not in error and re.search(f"labels.csv.*({message})", error), error


SCORES, SHARDS = ["--ontology", "o", "--output", "l", "--data-dir", "d", "--scores", "s"], ["--output-dir", "o"]


@pytest.mark.parametrize(
    ("words", "flag", "other"),
    [
        (["enhance", *SCORES, "--scores-dir", "x"], "--scores-dir", "--teacher"),
        (["enhance", *SCORES, "--clips-per-chunk", "2"], "--clips-per-chunk", "--teacher"),
        (["enhance", *SCORES, "--num-workers", "2"], "--num-workers", "--teacher"),
        (["enhance", *SCORES, "--batch-size", "2"], "--batch-size", "--teacher"),
        (["plot", "run", "--split", "train"], "--split", "--shards"),
        (["plot", "run", "--epochs", "30"], "--epochs", "--shards"),  # as is the default
        (["plot", "run", "--mixup-rate", "0"], "--mixup-rate", "--shards"),
        (["plot", "--shards", "d", "--figure", "curves"], "--figure", "RUNS"),
        (["prepare", "esc", "--data-dir", "d", *SHARDS, "--public"], "--public", "--push"),
        (["prepare", "esc", "--data-dir", "d", *SHARDS, "--license", "mit"], "--license", "--push"),
        (["train", "--data-dir", "d", *SHARDS, "--public"], "--public", "--push-to-hub"),
        (["aggregate", "average", "a", *SHARDS, "--save-scores", "s"], "--save-scores", "--data-dir"),
        (["aggregate", "ensemble", "a", *SHARDS, "--targets", "t.npy"], "--targets", "--scores"),
        (["aggregate", "ensemble", "--scores", "s", "--targets", "t", *SHARDS, "--no-model"], "--no-model", "MEMBERS"),
        (
            ["aggregate", "ensemble", "--scores", "s", "--data-dir", "d", *SHARDS, "--save-scores", "x"],
            "--save-scores",
            "MEMBERS",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_flag_without_effect_is_refused_and_says_what_it_needs(printed, words, flag, other):
    error = f"error: {flag} would have no effect: it needs {other}. Leave it out.\n"
    assert printed(*words) == ("", error, 2)


def test_a_switch_that_is_off_needs_nothing(printed, tmp_path):
    (tmp_path / "run.yaml").write_text("public: no\nrecipe: esc100\ndata_dir: d\noutput_dir: o")
    assert "The nearest is 'esc10'" in printed("train", "--config", tmp_path / "run.yaml")[1]


@pytest.mark.parametrize("words", [["--debug", "report", "nowhere"], ["report", "nowhere", "--debug"]])
def test_debugging_shows_the_traceback_too(printed, words):
    _, error, status = printed(*words)
    assert status == 2 and "Traceback" in error and error.splitlines()[-1].startswith("error: ")


def test_a_reader_that_leaves_early_and_ctrl_c_are_no_tracebacks(tmp_path):
    environment = {**os.environ, "COLUMNS": "80"}
    psla = [sys.executable, "-m", "psla_hf.commands"]
    reader, writer = os.pipe()
    os.close(reader)
    help_ = subprocess.run([*psla, "--help"], stdout=writer, stderr=subprocess.PIPE, env=environment, text=True)
    assert help_.returncode and not help_.stderr
    interrupted = "import psla_hf.commands.arguments as a\nwith a.command_line(): raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "error: interrupted.\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8:strict"])
def test_a_name_that_standard_output_cannot_encode_is_written_otherwise(encoding):
    name = "import psla_hf.commands.arguments as a\nwith a.command_line(): print('caf\\udce9')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", name], capture_output=True, env=environment, check=True)
    assert done.stdout.split() == [b"caf\\udce9"]


def test_runs_are_reported_side_by_side_and_unfinished_ones_as_far_as_they_are(printed, tmp_path):
    for name, figure in (("a", 0.25), ("b", 0.75)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(f'{{"results": {{"averaged": {{"mAP": {figure}}}}}}}')
    (tmp_path / "c").mkdir()
    row = '{"epoch": 3, "loss": 0.5, "mAP": 0.125, "seconds": 1, "clips_per_second": 2, "waiting": 0}\n'
    (tmp_path / "c" / "metrics.jsonl").write_text(row)
    text, _, status = printed("report", *(tmp_path / name for name in "abc"))
    assert status == 0 and re.search(r"averaged weights.*0\.2500.*0\.7500", text)
    assert "c is not finished" in text and "mAP 0.1250" in text
    assert re.search(r"averaged weights.*0\.2500", printed("report", tmp_path / "a")[0])


def test_an_error_that_all_processes_have_is_one_line():
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
    words = ("-m", "psla_hf.commands.train", "--recipe", "esc10", "--cpu")
    done = subprocess.run([*launcher, *words], capture_output=True, text=True)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and "--output-dir" in line


def test_threads_wait_as_said_unless_the_user_says_otherwise(monkeypatch, capsys):
    for name in WAITING:
        monkeypatch.setenv(name, "as it was")  # so that it is put back
        monkeypatch.delenv(name)
    run(["--version"])
    assert {name: os.environ[name] for name in WAITING} == WAITING
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    run(["--version"])
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE" and "GOMP_SPINCOUNT" not in os.environ
