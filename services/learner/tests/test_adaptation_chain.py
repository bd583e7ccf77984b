"""The log of adaptations: what was written stands, and whoever changes it is found out."""

import json

import numpy as np
import pytest

from websim.service.adaptation_log import LOG_NAME
from websim.service.errors import UserError
from websim_learner.adaptation.chain import FIRST, AdaptationLog, read_rows, standing, verify


@pytest.fixture
def path(tmp_path):
    return tmp_path / LOG_NAME


@pytest.fixture
def written(path):
    log = AdaptationLog(path)
    for n in range(1, 6):
        log.append("round", 10 * n, 1000 * n, 1, {"round": n, "gain": 0.5 * n})
    log.close()
    return path


def lines(path):
    return path.read_bytes().splitlines()


def rewrite(path, rows):
    path.write_bytes(b"".join(row + b"\n" for row in rows))


def test_rows_are_numbered_and_chained(written):
    rows = read_rows(written)
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["prev_sha256"] == FIRST
    assert [row["prev_sha256"] for row in rows[1:]] == [row["sha256"] for row in rows[:-1]]
    verify(rows)


def test_the_same_rows_are_the_same_bytes(written, tmp_path):
    (tmp_path / "again").mkdir()
    log = AdaptationLog(tmp_path / "again" / LOG_NAME)
    for n in range(1, 6):
        log.append("round", 10 * n, 1000 * n, 1, {"gain": 0.5 * n, "round": n})
    log.close()
    assert (tmp_path / "again" / LOG_NAME).read_bytes() == written.read_bytes()


def test_a_number_that_was_changed_is_found(written):
    rows = lines(written)
    rows[2] = rows[2].replace(b'"gain":1.5', b'"gain":9.5')
    rewrite(written, rows)
    with pytest.raises(UserError, match="row 3 was changed after it was written"):
        AdaptationLog(written)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda rows: rows[:2] + rows[3:], 3),
        (lambda rows: [rows[1], rows[0], *rows[2:]], 1),
        (lambda rows: [*rows[:3], rows[2], *rows[3:]], 4),
        (lambda rows: rows[1:], 1),
    ],
    ids=["left out", "swapped", "doubled", "beginning cut off"],
)
def test_rows_that_do_not_follow_one_another_are_found(written, change, row):
    rewrite(written, change(lines(written)))
    with pytest.raises(UserError, match=f"row {row} does not follow the row before it"):
        verify(read_rows(written))


def test_a_row_that_was_written_anew_breaks_the_one_after_it(written, tmp_path):
    """Who changes a row and its digest cannot change what the next row says of it."""
    rows = [json.loads(line) for line in lines(written)]
    other = tmp_path / "other" / LOG_NAME
    other.parent.mkdir()
    log = AdaptationLog(other)
    for row in rows[:3]:
        log.append(row["kind"], row["update"], row["env_steps"], 1, row["values"] | {"gain": 7.0})
    log.close()
    rewrite(written, [*lines(other)[:3], *lines(written)[3:]])
    with pytest.raises(UserError, match="row 4 does not follow"):
        verify(read_rows(written))


def test_a_line_that_a_kill_cut_short_is_dropped(written):
    whole = written.read_bytes()
    written.write_bytes(whole[:-20])
    log = AdaptationLog(written)
    assert log.position == 4
    log.append("round", 50, 5000, 1, {"round": 5, "gain": 2.5})
    log.close()
    assert written.read_bytes() == whole


def test_what_is_no_row_is_told(written):
    rewrite(written, [*lines(written)[:1], b"[1, 2]"])
    with pytest.raises(UserError, match="row 2 is not a row"):
        read_rows(written)
    rewrite(written, [b"{broken"])
    with pytest.raises(UserError, match="row 1 is not JSON"):
        read_rows(written)
    with pytest.raises(UserError, match="there is no"):
        read_rows(written.parent / "nowhere")


def test_a_life_that_begins_earlier_forks_what_stands(path):
    log = AdaptationLog(path)
    for name in "abc":
        log.append(name, 1, 10, 0, {})
    log.go_back(3)  # Nothing was lost: no row.
    log.go_back(1, 1, 10)
    log.append("d", 2, 20, 0, {})
    assert [row["kind"] for row in standing(log.rows())] == ["a", "d"]
    # Back behind the fork, to where b and c held.
    log.go_back(3, 1, 10)
    assert [row["kind"] for row in standing(log.rows())] == ["a", "b", "c"]
    with pytest.raises(UserError, match="the checkpoint counts 99"):
        log.go_back(99)
    log.close()
    verify(read_rows(path))


def test_a_chain_that_was_written_anew_is_not_the_one_that_a_checkpoint_counts(path, tmp_path):
    def write(path, gain):
        log = AdaptationLog(path)
        log.append("decision", 1, 10, 1, {"gain": gain})
        log.append("adopted", 1, 10, 1, {})
        return log

    genuine = write(path, 0.5)
    genuine.go_back(2, 1, 10, genuine.head_sha256)
    forged = write(tmp_path / "forged.jsonl", 9.5)
    verify(forged.rows())
    with pytest.raises(UserError, match="first 2 rows are not those that the checkpoint counts"):
        forged.go_back(2, 1, 10, genuine.head_sha256)
    genuine.close()
    forged.close()


def test_numbers_of_numpy_and_those_that_json_lacks_are_written(path):
    log = AdaptationLog(path)
    values = {"a": np.float64(0.5), "b": np.arange(2), "c": float("nan"), "d": -np.inf}
    row = log.append("x", 1, 1, 0, values)
    log.close()
    assert row["values"] == {"a": 0.5, "b": [0, 1], "c": "nan", "d": "-inf"}
    verify(read_rows(path))


def test_rows_are_read_in_pages(written):
    log = AdaptationLog(written)
    assert [row["n"] for row in log.rows(2, 2)] == [3, 4]
    assert log.rows(5) == []
    log.close()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"1", "row 1 is not a row"),
        (b'{"n":1,"kind":"round","values":{}}', "row 1 is not a row"),
        (b"[" * 100_000, "row 1 is not JSON"),
    ],
    ids=["number", "without steps", "nested"],
)
def test_a_line_of_another_shape_is_no_row(path, line, says):
    rewrite(path, [line])
    with pytest.raises(UserError, match=f"{LOG_NAME}: {says}. Restore the file"):
        read_rows(path)


@pytest.mark.parametrize("value", [b"NaN", b"1e999", b'"\\ud800"'])
def test_a_value_that_no_log_has_was_changed(written, value):
    """Such a row has no digest: what is given as one cannot be its own."""
    rows = lines(written)
    changed = rows[1].replace(b'"gain":1.0', b'"gain":' + value)
    digest = json.dumps(json.loads(rows[1])["sha256"]).encode()
    for given in (digest, b"null"):
        rewrite(written, [rows[0], changed.replace(digest, given), *rows[2:]])
        with pytest.raises(UserError, match="row 2 was changed after it was written"):
            verify(read_rows(written))


def test_a_log_that_is_no_file_is_named(path):
    path.mkdir()
    with pytest.raises(UserError, match=f"{LOG_NAME} is not a file. Restore the file"):
        read_rows(path)
