"""The journal: whatever is done, undone and interrupted, an image is as in a model that keeps every state."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.data.annotations.journal import NAME, Journal, encode, parse, read_journal
from s4mi.errors import S4miError
from s4mi.viewer.annotations import Annotations
from s4mi.viewer.changes import Annotated
from s4mi.viewer.writing import Writing

SIZE = (5, 7)
TRUTH = np.arange(35, dtype=np.uint8).reshape(SIZE) % 3
NUMBERS = {"first": 0, "second": 1}


@dataclass
class Model:
    """One image in the plainest way: a list of complete states, and which one is in force."""

    states: list[tuple[Annotated, np.ndarray | None]] = field(default_factory=lambda: [(Annotated(), None)])
    at: int = 0

    def put(self, annotated: Annotated, mask: np.ndarray | None) -> None:
        same_mask = mask is self.states[self.at][1]
        if annotated == self.states[self.at][0] and same_mask:
            return
        self.states = [*self.states[: self.at + 1], (annotated, mask)]
        self.at += 1

    @property
    def now(self) -> tuple[Annotated, np.ndarray | None]:
        return self.states[self.at]


images = st.sampled_from([0, 1])
labels = st.tuples(st.just("labels"), images, st.sampled_from([(), ("a",), ("b",), ("a", "b")]))
strokes = st.tuples(
    st.just("stroke"), images, st.integers(0, 6), st.integers(0, 4), st.integers(1, 7), st.integers(1, 5),
    st.integers(0, 2),
)  # fmt: skip
others = st.tuples(st.sampled_from(["mask", "empty", "skip", "clear", "undo", "redo", "restart", "tear"]), images)
steps = st.lists(st.one_of(labels, strokes, strokes, others), max_size=25)


def do(annotations: Annotations, model: Model, step: tuple, writing: Writing) -> None:
    """Do a step with the annotations and with the model."""
    op, n, *arguments = step
    now, mask = model.now
    if op == "labels":
        annotations.set_labels(n, arguments[0], writing)
        model.put(Annotated(arguments[0], now.mask, now.empty, None), mask)
    elif op == "stroke":
        x, y, width, height, value = arguments
        patch = np.full((min(height, SIZE[0] - y), min(width, SIZE[1] - x)), value, dtype=np.uint8)
        annotations.stroke(n, patch, (x, y), lambda: TRUTH, writing)
        drawn = (TRUTH if mask is None else mask).copy()
        drawn[y : y + height, x : x + width] = value
        model.put(Annotated(now.labels, "edited", now.empty and not drawn.any(), None), drawn)
    elif op == "mask":
        annotations.set_mask(n, TRUTH, Annotated(mask="prediction"), writing)
        model.put(Annotated(now.labels, "prediction", False, None), TRUTH.copy())
    elif op == "empty":
        annotations.set_mask(n, TRUTH * 0, Annotated(mask="edited", empty=True), writing)
        model.put(Annotated(now.labels, "edited", True, None), TRUTH * 0)
    elif op == "skip":
        annotations.skip(n, "why", writing)
        model.put(Annotated(now.labels, now.mask, now.empty, "why"), mask)
    elif op == "clear":
        annotations.clear(n, writing)
        model.put(Annotated(), None)
    elif op == "undo":
        assert (annotations.undo(n, writing) is not None) == (model.at > 0)
        model.at = max(0, model.at - 1)
    elif op == "redo":
        assert (annotations.redo(n, writing) is not None) == (model.at + 1 < len(model.states))
        model.at = min(len(model.states) - 1, model.at + 1)


def check(annotations: Annotations, models: list[Model]) -> None:
    """Compare every image with its model."""
    for n, model in enumerate(models):
        history, mask = annotations.history(n), annotations.mask(n)
        assert history.current == model.now[0]
        assert (history.can_undo, history.can_redo) == (model.at > 0, model.at + 1 < len(model.states))
        assert (mask is None) == (model.now[1] is None)
        assert mask is None or np.array_equal(mask, model.now[1])


@given(steps, st.binary(min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_sequence_of_changes_and_restarts_equals_a_naive_model(done: list[tuple], end: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, models = Path(name), [Model(), Model()]
        journal = Journal(folder)
        annotations = Annotations(journal, journal.entries, NUMBERS)
        for step in done:
            if step[0] in ("restart", "tear"):
                annotations.close()
                if step[0] == "tear":  # what a killed process left of its last entry
                    with (folder / NAME).open("ab") as file:
                        file.write(end.replace(b"\n", b" "))
                journal = Journal(folder)
                assert bool(journal.dropped) == (step[0] == "tear")
                annotations = Annotations(journal, journal.entries, NUMBERS)
            else:
                n = step[1]
                do(annotations, models[n], step, Writing("c-1", annotations.history(n).revision))
            check(annotations, models)
        annotations.close()
        again = read_journal(folder / NAME)
        check(Annotations(None, again.entries, NUMBERS), models)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_a_journal_cut_anywhere_keeps_exactly_its_complete_entries(texts: list[str], data: st.DataObject) -> None:
    lines = [encode({"op": "note", "text": text}) for text in texts]
    whole = b"".join(lines)
    cut = data.draw(st.integers(0, len(whole)))
    contents = parse(whole[:cut])
    complete = sum(sum(map(len, lines[: n + 1])) <= cut for n in range(len(lines)))
    assert [entry["text"] for entry in contents.entries] == texts[:complete]
    assert contents.torn == whole[sum(map(len, lines[:complete])) : cut]


@given(st.integers(0, 7), st.integers(0, 200))
@settings(deadline=None)
def test_a_flipped_bit_is_noticed(bit: int, place: int) -> None:
    line = bytearray(encode({"op": "stroke", "id": "a", "new": "abcd" * 10}))
    line[place % len(line)] ^= 1 << bit
    assert parse(bytes(line)).entries == ()


def test_a_cut_off_end_is_kept_beside_the_journal(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(encode({"op": "a"}) + b"half an ent")
    journal = Journal(tmp_path)
    journal.append({"op": "b"})
    journal.close()
    assert [entry["op"] for entry in read_journal(tmp_path / NAME).entries] == ["a", "b"]
    assert (tmp_path / "torn-1.bin").read_bytes() == b"half an ent"


def test_a_journal_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(encode({"op": "begin", "format": 99}))
    with pytest.raises(S4miError, match="format 99"):
        Journal(tmp_path)


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path)
    annotations = Annotations(journal, journal.entries, NUMBERS)
    annotations.set_labels(0, ("a",), Writing("c-1", 0))
    before = (tmp_path / NAME).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("s4mi.data.annotations.journal.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            annotations.set_labels(0, ("b",), Writing("c-1", 1))
    assert (tmp_path / NAME).read_bytes() == before
    assert annotations.history(0).current.labels == ("a",)
    annotations.set_labels(0, ("b",), Writing("c-1", 1))
    annotations.close()
    assert [entry["after"]["labels"] for entry in read_journal(tmp_path / NAME).entries] == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("number", [], "not a change of an annotation .TypeError"),
        ("number", "../x", "not a change of an annotation .ValueError"),
        ("before", None, "not a change of an annotation .TypeError"),
        (
            "after",
            {"labels": None, "mask": "edited", "empty": False, "skip": 1e999},
            "ValueError mask 'edited', skip inf",
        ),
        ("after", {"labels": None, "mask": [], "empty": False, "skip": None}, "ValueError mask"),
        ("box", [0, 0, -1, 5], "not a change of an annotation .ValueError box"),
        ("box", [0, 0, 9, 9], "damaged pixels of a mask"),
        ("new", "AAAA", "damaged pixels of a mask"),
        ("whole", False, "a mask without its start|a stroke outside of its mask"),
        ("new", None, "a mask without its start"),
    ],
)
def test_entries_that_are_whole_but_no_changes_end_in_one_line(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    journal = Journal(tmp_path)
    annotations = Annotations(journal, journal.entries, NUMBERS)
    annotations.set_mask(0, TRUTH.copy(), Annotated(mask="edited"), Writing("c-1", 0))
    annotations.close()
    (entry,) = read_journal(tmp_path / NAME).entries
    (tmp_path / NAME).write_bytes(encode({**entry, name: value}))
    again = read_journal(tmp_path / NAME)
    with pytest.raises(S4miError, match=message) as caught:
        Annotations(None, again.entries, NUMBERS).mask(0)
    assert "\n" not in str(caught.value)
