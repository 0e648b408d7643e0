"""Two processes that write to one place: the second ends in one line, and what the first leaves is not touched."""

from pathlib import Path

import pytest

from s4mi.errors import S4miError
from s4mi.inference.writers.only_writer import LOCK_NAME, only_writer, only_writer_of


def test_the_second_process_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with only_writer(out):
        with (
            pytest.raises(S4miError, match=r"out: another process writes its results here; wait .* -o"),
            only_writer(out),
        ):
            pass
        assert (out / LOCK_NAME).exists()
    assert not out.exists()
    with only_writer(out):
        (out / "a.csv").write_text("a")
    assert [path.name for path in out.iterdir()] == ["a.csv"]


def test_files_of_other_names_are_written_at_the_same_time(tmp_path: Path) -> None:
    one, other = tmp_path / "a.csv", tmp_path / "b.csv"
    with only_writer_of(one), only_writer_of(other), pytest.raises(S4miError, match="another process"):  # noqa: SIM117
        with only_writer_of(one):
            pass
    assert not [*tmp_path.iterdir()]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / LOCK_NAME).touch()
    with only_writer(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]
