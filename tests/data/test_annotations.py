"""Selection tables of Raven and labels of Audacity: read beside their recordings, or by the files they name."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from psla_hf.data.load import load_splits, load_tagging_dataset
from psla_hf.data.schema import class_names
from psla_hf.data.sources import SOURCES
from psla_hf.data.summary import LoadOptions

HEADER = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"]


def recording(path: Path, seconds: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(8000 * seconds, 0.1), 8000)
    return path


def raven(path: Path, *rows: tuple, more: tuple = ("Annotation",)) -> Path:
    """A selection table; rows are begin, end, and the further columns."""
    lines = ["\t".join([*HEADER, *more])]
    for number, (begin, end, *others) in enumerate(rows, start=1):
        for view in ("Waveform 1", "Spectrogram 1"):
            cells = (number, view, 1, begin, end, 100.5, 4000, *others)
            lines.append("\t".join(map(str, cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def audacity(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def found(place: Path, **settings) -> dict[str, list[str]]:
    """Labels by id."""
    clips = load_tagging_dataset(place, quiet=True, **settings)
    return {
        clip: [class_names(clips)[k] for k in of_clip]
        for clip, of_clip in zip(clips["id"], clips["labels"], strict=True)
    }


def notes_of(place: Path, **settings) -> list[str]:
    summaries = load_splits("own", place, LoadOptions(quiet=True), **settings).summaries
    return [note for summary in summaries.values() for note in summary.notes]


@pytest.mark.parametrize(
    "name",
    ["rec.Table.1.selections.txt", "rec.selections.txt", "rec.txt", "rec.BirdNET.selection.table.txt", "rec.tsv"],
)
def test_a_selection_table_is_of_the_recording_beside_it(tmp_path, name):
    recording(tmp_path / "rec.wav")
    table = raven(tmp_path / name, (0.5, 2, "wren"), (3, 4.25, "robin"))
    assert found(table) == found(tmp_path) == {"rec:0.500-2.000": ["wren"], "rec:3.000-4.250": ["robin"]}
    assert notes_of(table) == [
        "The labels of Raven's tables are their column Annotation.",
        "2 rows repeat a segment; it has the labels of all its rows.",
    ]


def test_the_recording_may_lie_in_a_folder_of_its_own(tmp_path):
    recording(tmp_path / "audio" / "rec.wav")
    table = raven(tmp_path / "rec.txt", (0.5, 2, "wren"))
    assert found(table, audio_dir=tmp_path / "audio") == {"rec:0.500-2.000": ["wren"]}
    with pytest.raises(ValueError, match=r"one recording called rec beside .*rec\.txt, found none"):
        found(table)


def test_two_recordings_of_one_name_are_refused(tmp_path):
    recording(tmp_path / "rec.wav")
    recording(tmp_path / "rec.flac")
    table = raven(tmp_path / "rec.txt", (0.5, 2, "wren"))
    for place in (table, tmp_path):
        with pytest.raises(ValueError, match=r"one recording called rec beside .*found rec\.flac and rec\.wav"):
            found(place)


@pytest.mark.parametrize("column", ["Begin File", "Begin Path"])
def test_selections_in_several_files_are_at_their_offsets(tmp_path, column):
    recording(tmp_path / "audio" / "a.wav")
    recording(tmp_path / "audio" / "b.wav")
    place = "C:\\birds\\" if column == "Begin Path" else ""
    rows = (1.5, 3, f"{place}a.wav", 1.5, "wren"), (12.1, 14, f"{place}b.wav", 2.1, "robin")
    table = raven(tmp_path / "all.txt", *rows, more=(column, "File Offset (s)", "Species"))
    assert found(table) == {"audio/a:1.500-3.000": ["wren"], "audio/b:2.100-4.000": ["robin"]} == found(tmp_path)
    table = raven(tmp_path / "all.txt", *[row[:3] + row[4:] for row in rows], more=(column, "Species"))
    with pytest.raises(ValueError, match="Expected a column File Offset"):
        found(table)


def test_which_column_has_the_labels_is_asked_where_several_may(tmp_path):
    recording(tmp_path / "rec.wav")
    table = raven(tmp_path / "rec.txt", (1, 2, "Wren", "T. t.", "x"), more=("Common Name", "Scientific Name", "Site"))
    with pytest.raises(ValueError, match=r"found 'Common Name', 'Scientific Name' .*label_column='Common Name'"):
        found(table)
    assert found(table, label_column="common name") == {"rec:1.000-2.000": ["Wren"]}
    listing = SOURCES["own"].list_folder(table, label_column="Scientific Name", group_column="site")
    assert listing.clips["group"].to_pylist() == ["x"]
    table = raven(tmp_path / "rec.txt", (1, 2, "Wren"), more=("What",))
    with pytest.raises(ValueError, match=r"labels or label in rec\.txt.*'What'"):
        found(table)
    assert found(table, label_column="What") == {"rec:1.000-2.000": ["Wren"]}


def test_labels_of_audacity_need_no_header(tmp_path):
    recording(tmp_path / "rec.wav")
    text = "0,500000\t2,0\tdog\n\\\t100.0\t4000.0\n3.0\t4.5\tcat\n5.0\t6.0\t\n"
    table = audacity(tmp_path / "rec.txt", text)
    expected = {"rec:0.500-2.000": ["dog"], "rec:3.000-4.500": ["cat"], "rec:5.000-6.000": []}
    assert found(table) == found(tmp_path) == expected
    without = [names for names in found(tmp_path, negatives=2).values() if not names]
    assert len(without) == 1 + 3  # 2 to 3 s, 6 to 8 and 8 to 10 s


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.0\t2.0\tdog\n3.0\t3.0\tcat\n", r"rec\.wav that ends after it starts.* in .*rec\.txt, line 2"),
        ("1.0\t2.0\tdog\nsoon\t3.0\tcat\n", r"Expected labels of Audacity in .*rec\.txt.* in line 2"),
    ],
)
def test_points_and_other_lines_are_refused_with_file_and_line(tmp_path, text, message):
    recording(tmp_path / "rec.wav")
    table = audacity(tmp_path / "rec.txt", text)
    for place in (table, tmp_path):
        with pytest.raises(ValueError, match=message):
            found(place)


def test_a_tree_of_recordings_with_tables_is_one_source(tmp_path):
    for name in ("north/1.wav", "north/2.wav", "south/3.flac", "south/4.wav"):
        recording(tmp_path / name)
    raven(tmp_path / "north" / "1.Table.1.selections.txt", (1, 2, "wren"))
    raven(tmp_path / "north" / "1.Table.2.selections.txt", (1, 2, "robin"))
    audacity(tmp_path / "south" / "3.txt", "0\t4\twren\n")
    raven(tmp_path / "south" / "5.txt", (1, 2, "wren"))
    (tmp_path / "README.txt").write_text("Birds.\n")
    assert found(tmp_path) == {"north/1:1.000-2.000": ["robin", "wren"], "south/3:0.000-4.000": ["wren"]}
    notes = notes_of(tmp_path)
    assert "1 tables beside the audio were not used: README.txt." in notes
    assert "1 tables lie beside no recording of their name: south/5.txt." in notes
    assert "2 audio files are in no table: north/2.wav, south/4.wav." in notes


def test_folders_called_like_splits_are_the_splits_of_recordings(tmp_path):
    for split in ("train", "test"):
        recording(tmp_path / split / "rec.wav")
        audacity(tmp_path / split / "rec.txt", "0\t4\twren\n")
    assert set(load_tagging_dataset(tmp_path, quiet=True)) == {"train", "test"}


def test_folders_of_classes_and_metadata_tables_stay_what_they_are(tmp_path):
    for name in ("dog/1.wav", "dog/2.wav", "cat/3.wav"):
        recording(tmp_path / name)
    audacity(tmp_path / "dog" / "1.txt", "0\t4\twren\n")
    assert found(tmp_path) == {"cat/3": ["cat"], "dog/1": ["dog"], "dog/2": ["dog"]}
    (tmp_path / "metadata.csv").write_text("file,label\ndog/1.wav,bark\ndog/2.wav,bark\ncat/3.wav,meow\n")
    audacity(tmp_path / "dog" / "2.txt", "0\t4\twren\n")
    assert set(map(tuple, found(tmp_path).values())) == {("bark",), ("meow",)}


def test_a_selection_table_without_rows_has_no_clips(tmp_path):
    recording(tmp_path / "1.wav")
    recording(tmp_path / "2.wav")
    raven(tmp_path / "1.txt")
    raven(tmp_path / "2.txt", (1, 2, "wren"))
    assert found(tmp_path) == {"2:1.000-2.000": ["wren"]}
    assert "1 audio files are in no table: 1.wav." in notes_of(tmp_path)


def test_a_plain_table_may_end_in_txt(tmp_path):
    recording(tmp_path / "a.wav")
    (tmp_path / "clips.txt").write_text("file\tlabel\na.wav\tdog\n")
    assert found(tmp_path / "clips.txt") == {"a": ["dog"]}
