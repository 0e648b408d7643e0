"""Each exported file is listed by a card of its own run, and no card is overwritten by the export of another model."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import TRANSFER
from s4mi.config import RunConfig
from s4mi.errors import S4miError
from s4mi.inference.export.card_place import card_of, check_card, same_in_other_format
from s4mi.inference.export.model_card import write_model_card
from s4mi.inference.export.verify import Verification
from s4mi.inference.load import load_exported
from s4mi.inference.model_metadata import ModelMetadata
from s4mi.recipes.export import export_run
from s4mi.recipes.train import train
from s4mi.records import RunRecord, read_record
from s4mi.reporting.writers.card_files import lists_file
from s4mi.reporting.writers.markdown import code_span
from s4mi.reporting.writers.model_card import card_mark


@dataclass(frozen=True)
class Exported:
    """A run, and its model as `export_run` wrote it in both formats."""

    run: Path
    record: RunRecord
    metadata: ModelMetadata

    def to(self, file: Path, *, overwrite: bool = False) -> Path:
        """Do what an export does with files and cards, except for tracing the network again; return the card."""
        if file.exists() and not overwrite:
            raise S4miError("already exists")
        twin = same_in_other_format(file, self.metadata)
        card = card_of(file, twin)
        check_card(card, file, twin, self.record, overwrite=overwrite)
        shutil.copyfile(self.run / f"model{file.suffix}", file)
        write_model_card(
            card, file, self.run, self.record, self.metadata, Verification(0.0, "images", real=True), twin=twin
        )
        return card


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, lesions: Path, quick: Callable[..., RunConfig]) -> list[Exported]:
    made = []
    for seed in (0, 1):
        run = tmp_path_factory.mktemp("runs") / f"seed{seed}"
        train(quick(lesions, TRANSFER, epochs=1, seed=seed), run)
        for ending in (".onnx", ".pt2"):
            export_run(run, run / f"model{ending}")
        made.append(Exported(run, read_record(run), load_exported(run / "model.onnx").metadata))
    return made


def check_folder(folder: Path, owners: dict[str, Exported], *, cards: set[str]) -> None:
    """Check that each file is listed once, by a card of its run with the code that loads it; and the names of cards."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert texts.keys() == cards
    for name, owner in owners.items():
        (card,) = [text for text in texts.values() if lists_file(text, name)]
        assert card.startswith(card_mark(owner.record) + "\n"), name
        assert sum(f'("{name}")' in text for text in texts.values()) == 1, name
    for text in texts.values():
        listed = [name for name in owners if lists_file(text, name)]
        assert listed
        assert text.count("```python\n") == len(listed)
        assert any(code_span(f"s4mi predict {name} IMAGES -o OUT") in text for name in listed)


@pytest.mark.long
def test_one_file_has_the_card_of_the_folder_and_each_other_one_of_its_name(
    tmp_path: Path, runs: list[Exported]
) -> None:
    one, other = runs
    names = {"a.onnx": one, "b.onnx": other, "c d.pt2": one}
    cards = [owner.to(tmp_path / name) for name, owner in names.items()]
    assert [card.name for card in cards] == ["MODEL_CARD.md", "b.MODEL_CARD.md", "c d.MODEL_CARD.md"]
    check_folder(tmp_path, names, cards={card.name for card in cards})
    again = [owner.to(tmp_path / name, overwrite=True) for name, owner in names.items()]
    assert again == cards


def test_both_formats_of_a_model_share_a_card(tmp_path: Path, runs: list[Exported]) -> None:
    one, _ = runs
    for first, second in (("a.onnx", "a.pt2"), ("b|`.pt2", "b|`.onnx")):
        card = one.to(tmp_path / first)
        assert one.to(tmp_path / second) == card
        assert lists_file(card.read_text(), first)
        assert lists_file(card.read_text(), second)
    assert {path.name for path in tmp_path.glob("*.md")} == {"MODEL_CARD.md", "b|`.MODEL_CARD.md"}


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), [("a.pt2", "a.onnx"), ("a.onnx", "a.pt2")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_other_format_of_another_run_has_a_card_of_its_own(
    tmp_path: Path, runs: list[Exported], first: str, second: str, overwrite: bool
) -> None:
    one, other = runs
    before = one.to(tmp_path / first).read_bytes()
    assert other.to(tmp_path / second, overwrite=overwrite).name == f"{second}.MODEL_CARD.md"
    assert (tmp_path / "MODEL_CARD.md").read_bytes() == before
    check_folder(tmp_path, {first: one, second: other}, cards={"MODEL_CARD.md", f"{second}.MODEL_CARD.md"})


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), [("a.pt2", "a.onnx"), ("a.onnx", "a.pt2")])
def test_a_format_that_is_replaced_by_another_run_is_taken_off_the_shared_card_until_both_are(
    tmp_path: Path, runs: list[Exported], first: str, second: str
) -> None:
    one, other = runs
    one.to(tmp_path / first)
    shared = one.to(tmp_path / second)
    shared.write_text(shared.read_text() + "\nAnnotated by hand: `a.onnx` and `a.pt2`.\n")
    other.to(tmp_path / second, overwrite=True)
    check_folder(tmp_path, {first: one, second: other}, cards={"MODEL_CARD.md", f"{second}.MODEL_CARD.md"})
    assert "\nAnnotated by hand: `a.onnx` and `a.pt2`.\n" in shared.read_text()
    assert other.to(tmp_path / first, overwrite=True) == shared
    check_folder(tmp_path, {first: other, second: other}, cards={"MODEL_CARD.md"})


@pytest.mark.long
def test_a_model_that_was_calibrated_anew_is_another(tmp_path: Path, runs: list[Exported]) -> None:
    one, _ = runs
    assert one.metadata.calibration is not None
    warmer = one.metadata.calibration.model_copy(update={"temperature": 3.0})
    anew = Exported(one.run, one.record, one.metadata.model_copy(update={"calibration": warmer}))
    one.to(tmp_path / "a.pt2")
    assert anew.to(tmp_path / "a.onnx").name == "a.onnx.MODEL_CARD.md"
    upgraded = Exported(one.run, one.record, one.metadata.model_copy(update={"version": "0.0.1"}))
    assert upgraded.to(tmp_path / "a.onnx", overwrite=True).name == "MODEL_CARD.md"
    check_folder(tmp_path, {"a.onnx": one, "a.pt2": one}, cards={"MODEL_CARD.md"})


def test_the_card_of_a_model_that_is_gone_is_replaced_only_if_asked(tmp_path: Path, runs: list[Exported]) -> None:
    one, other = runs
    card = one.to(tmp_path / "a.onnx")
    before = card.read_text()
    (tmp_path / "a.onnx").unlink()
    for name in ("a.onnx", "a.pt2"):
        with pytest.raises(S4miError, match=r"MODEL_CARD\.md: already exists and is not the card of this run"):
            other.to(tmp_path / name)
    assert card.read_text() == before
    assert other.to(tmp_path / "a.onnx", overwrite=True) == card
    check_folder(tmp_path, {"a.onnx": other}, cards={"MODEL_CARD.md"})


@pytest.mark.long
def test_a_card_whose_name_another_file_has_taken_is_never_overwritten(tmp_path: Path, runs: list[Exported]) -> None:
    one, other = runs
    for name in ("first.pt2", "a.pt2", "a.onnx.pt2"):
        one.to(tmp_path / name)
    before = (tmp_path / "a.onnx.MODEL_CARD.md").read_text()
    with pytest.raises(S4miError, match=r"a\.onnx\.MODEL_CARD\.md: is the card of a\.onnx\.pt2; choose another name"):
        other.to(tmp_path / "a.onnx", overwrite=True)
    assert (tmp_path / "a.onnx.MODEL_CARD.md").read_text() == before


@pytest.mark.parametrize("words", ["", "# My own words\n", "Mine: `a.onnx`\n| `a.onnx` | 1 MB |\n"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_card_stays(tmp_path: Path, runs: list[Exported], words: str, overwrite: bool) -> None:
    (tmp_path / "MODEL_CARD.md").write_text(words)
    assert runs[0].to(tmp_path / "a.onnx", overwrite=overwrite).name == "a.MODEL_CARD.md"
    assert (tmp_path / "MODEL_CARD.md").read_text() == words


def test_a_file_of_other_software_takes_no_card(tmp_path: Path, runs: list[Exported]) -> None:
    (tmp_path / "a.onnx").write_bytes(b"theirs")
    assert runs[0].to(tmp_path / "a.pt2").name == "MODEL_CARD.md"
