"""Saved scores are the same from whatever file, and refused where they are of other clips."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from psla_hf.files import write_json
from psla_hf.labels.vocabulary import Vocabulary
from psla_hf.teachers.scores import (
    IDENTITY,
    NpyRows,
    check_unscored,
    highest,
    ids_fingerprint,
    open_scores,
    open_teachers,
    saved_teacher,
)

IDS = [f"clip {i}" for i in range(10)]
SCORES = np.random.default_rng(0).random((10, 3), np.float32).astype(np.float16)


@pytest.mark.parametrize(
    "record", ['{"number of classes": "three"}', '{"number of classes": 3, "unknown classes": [7]}']
)
def test_a_damaged_record_of_classes_is_one_line(record, tmp_path):
    np.save(tmp_path / "chunk-000000000.npy", np.zeros((2, 3), np.float16))
    (tmp_path / "scores.json").write_text(record[:-1] + f', "clips": "{ids_fingerprint(["a", "b"])}"}}')
    with pytest.raises(ValueError, match=r"scores\.json"):
        open_scores(tmp_path, ["a", "b"], 3, tmp_path)


def test_indices_of_too_many_classes_are_refused():
    with pytest.raises(ValueError, match="at most 65536 classes, got 70000"):
        highest(np.zeros((1, 70000), np.float16), 1)


def saved(kind, folder, scores=SCORES, ids=IDS):
    """The scores in a file of some kind."""
    path = folder / f"scores{kind}"
    if kind == ".npy":
        np.save(path, scores)
    elif kind == ".csv":
        np.savetxt(path, scores.astype(np.float64), delimiter=",")  # as the original does
    elif kind == ".parquet":
        table = pa.table({"id": ids, "scores": pa.array(list(scores.astype(np.float32)), pa.list_(pa.float32()))})
        pq.write_table(table, path, row_group_size=4)
    else:
        path.mkdir()
        for start in (0, 4, 8):
            np.save(path / f"chunk-{start:09d}.npy", scores[start : start + 4])
        write_json({"clips": ids_fingerprint(ids)}, path / IDENTITY)
    return path


KINDS = [".npy", ".csv", ".parquet", ""]


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_files_give_the_same_rows(kind, tmp_path):
    rows = open_scores(saved(kind, tmp_path), IDS, 3, tmp_path)
    assert rows.shape == (10, 3)
    for part in (slice(0, 10), slice(3, 9), slice(4, 8), slice(8, 99), slice(10, 12)):
        np.testing.assert_array_equal(rows[part], SCORES[part])


def of_skipped_clips(scores):
    scores[[0, 7]] = np.nan


def of_unknown_classes(scores):
    scores[:, 1] = np.nan


def of_both(scores):
    of_skipped_clips(scores)
    of_unknown_classes(scores)


def of_one_score(scores):
    scores[6, 2] = np.nan


def of_one_score_beside_others(scores):
    of_both(scores)
    scores[[4, 6], 2] = np.nan


def of_two_scores(scores):
    scores[9, :2] = np.nan


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("gaps", "error"),
    [
        (of_skipped_clips, None),
        (of_unknown_classes, None),
        (of_both, None),
        (of_one_score, "each of the 3 classes .* 1 of 10 clips lack some .*, such as clip 6, which lacks 1"),
        (
            of_one_score_beside_others,
            "each of the 2 classes .* 2 of 10 clips lack some .*, such as clip 4, which lacks 1",
        ),
        (of_two_scores, "each of the 3 classes .* 1 of 10 clips lack some .*, such as clip 9, which lacks 2"),
    ],
)
def test_a_teacher_lacks_whole_clips_and_whole_classes_only(kind, gaps, error, tmp_path):
    scores = SCORES.copy()
    gaps(scores)
    path = saved(kind, tmp_path, scores)
    if error is None:
        np.testing.assert_array_equal(open_scores(path, IDS, 3, tmp_path)[:], scores)
        return
    with pytest.raises(ValueError, match=error):
        open_scores(path, IDS, 3, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_other_numbers_of_clips_or_classes_are_refused(kind, tmp_path):
    path = saved(kind, tmp_path)
    extra = [*IDS, "clip 10"]
    counts = "1 missing .such as clip 10" if kind == ".parquet" else "got others" if kind == "" else "1 rows missing"
    with pytest.raises(ValueError, match=counts):
        open_scores(path, extra, 3, tmp_path)
    with pytest.raises(ValueError, match="for 4 classes"):
        open_scores(path, IDS, 4, tmp_path)


@pytest.mark.parametrize("kind", [".npy", ".parquet", ""])
def test_other_clips_or_another_order_are_refused_where_ids_are_known(kind, tmp_path):
    path = saved(kind, tmp_path)
    if kind == ".npy":
        (tmp_path / "scores.ids.txt").write_text("\n".join(IDS))
    assert open_scores(path, IDS, 3, tmp_path).shape == (10, 3)
    with pytest.raises(ValueError, match=r"1 missing .such as other.*1 extra .such as clip 9|got others"):
        open_scores(path, [*IDS[:9], "other"], 3, tmp_path)
    with pytest.raises(ValueError, match=r"in the order of the data: row 0 is clip 0, expected clip 9|got others"):
        open_scores(path, IDS[::-1], 3, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("scores.csv", "a,b,c\n0.1,0.2,0.3\n", "without a header"),
        ("scores.csv", "0.1,0.2,0.3\n0.1,0.2,0.3,0.4\n", "as many numbers"),
        ("scores.json", "[]", "got .*scores.json"),
    ],
)
def test_what_is_no_file_of_scores_is_refused(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        open_scores(tmp_path / name, IDS[:2], 3, tmp_path)


def test_columns_and_types_that_do_not_fit_are_refused(tmp_path):
    np.save(tmp_path / "integers.npy", np.ones((10, 3), int))
    with pytest.raises(ValueError, match=r"floating-point.* int64"):
        NpyRows([tmp_path / "integers.npy"])
    pq.write_table(pa.table({"id": IDS, "score": [0.5] * 10}), tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match="id and scores"):
        open_scores(tmp_path / "scores.parquet", IDS, 3, tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"chunk-\*.npy"):
        open_scores(tmp_path / "empty", IDS, 3, tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_scores(tmp_path / "nowhere.npy", IDS, 3, tmp_path)


def test_ids_may_be_numbers(tmp_path):
    path = saved(".parquet", tmp_path, ids=list(range(10)))
    assert open_scores(path, [str(i) for i in range(10)], 3, tmp_path).shape == (10, 3)


def test_a_folder_knows_its_classes_and_its_teacher(tmp_path):
    folder = saved("", tmp_path)
    assert saved_teacher(folder) == saved_teacher(tmp_path / "scores.csv") == (None, None)
    assert open_scores(folder, IDS, 3, tmp_path, "some classes").shape == (10, 3)
    noted = {"clips": ids_fingerprint(IDS), "vocabulary": "x", "teacher": "0a", "name of the teacher": "runs/teacher"}
    write_json(noted, folder / IDENTITY)
    assert saved_teacher(folder) == ("runs/teacher", "0a")
    assert open_scores(folder, IDS, 3, tmp_path, "x").shape == (10, 3)
    with pytest.raises(ValueError, match="for others"):
        open_scores(folder, IDS, 3, tmp_path, "y")


@pytest.mark.parametrize(
    ("gaps", "unscored"),
    [
        ([of_skipped_clips], [0, 7]),
        ([of_both], [0, 7]),
        ([of_unknown_classes], []),
        ([of_both, of_skipped_clips], [0, 7]),
        ([of_both, of_unknown_classes], []),
    ],
)
def test_clips_that_no_teacher_has_scores_for_are_found(gaps, unscored, tmp_path):
    paths = []
    for number, gap in enumerate(gaps):
        scores = SCORES.copy()
        gap(scores)
        (tmp_path / f"teacher{number}").mkdir()
        paths.append(saved(".npy", tmp_path / f"teacher{number}", scores))
    rows, found, _ = open_teachers(paths, IDS, Vocabulary(("a", "b", "c")), tmp_path)
    assert found.tolist() == np.flatnonzero(np.isnan(rows[0:10]).all(axis=1)).tolist() == unscored


def test_clips_without_scores_are_allowed_or_not_but_never_all():
    check_unscored(np.array([], int), IDS, allowed=False)
    check_unscored(np.array([2, 4]), IDS, allowed=True)
    with pytest.raises(ValueError, match=r"2 of 10 clips have none .*clip 2, clip 4.* on_error='skip'"):
        check_unscored(np.array([2, 4]), IDS, allowed=False)
    with pytest.raises(ValueError, match="10 of 10 clips have none"):
        check_unscored(np.arange(10), IDS, allowed=True)
