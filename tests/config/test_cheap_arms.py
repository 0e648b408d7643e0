"""Studies of cheap and costly arms: what comes first, what is left out, and studies that are found by name."""

from pathlib import Path
from typing import Any

import pytest

from s4mi.config import PlannedRun, load_study, make_study, plan_study
from s4mi.config.packaged_studies import packaged_studies, study_path
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.errors import S4miError

FROZEN = {"name": "frozen", "method": {"name": "frozen", "backbone": "tiny_resnet", "weights": "none"}}
FINETUNE = {"name": "finetune", "method": {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}}
UNET = {"name": "unet", "method": {"name": "dedl", "encoder": "tiny_resnet", "weights": "none"}}


def plan(path: Path | str, *arms: dict[str, Any], **settings: Any) -> list[PlannedRun]:
    contents = {"data": {"path": str(path)}, "label_fractions": [50], "seeds": [0, 1], "arms": list(arms), **settings}
    return list(plan_study(make_study(contents, origin="study"), Path("out")))


def arms_of(runs: list[PlannedRun]) -> list[tuple[str, int]]:
    return [(run.arm, run.config.seed) for run in runs]


def test_runs_on_stored_features_come_first_with_all_seeds() -> None:
    runs = plan("data", FINETUNE, FROZEN)
    assert arms_of(runs) == [("frozen", 0), ("frozen", 1), ("finetune", 0), ("finetune", 1)]


def test_a_frozen_arm_that_starts_from_pre_training_comes_after_it() -> None:
    start = {"dino": {"method": {"name": "dino", "backbone": "tiny_resnet", "weights": "none"}}}
    runs = plan("data", {**FROZEN, "pretraining": "dino"}, pretraining=start, seeds=[0])
    assert [run.config.method.name for run in runs] == ["dino", "frozen"]


def test_an_arm_may_have_fewer_seeds_than_the_study() -> None:
    assert arms_of(plan("data", {**FINETUNE, "seeds": [1]}, FROZEN)) == [("frozen", 0), ("frozen", 1), ("finetune", 1)]


def test_seeds_of_an_arm_must_be_among_those_of_the_study() -> None:
    with pytest.raises(S4miError, match="arms: finetune: seed 7 is not among the seeds of the study; add it there"):
        plan("data", {**FINETUNE, "seeds": [7]})


@pytest.fixture(scope="module")
def without_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes") / "data"
    write_synthetic("lesions", folder, count=12, size=32, seed=0)
    text = (folder / "dataset.yaml").read_text(encoding="utf-8")
    assert "segmentation" in text
    (folder / "dataset.yaml").write_text(text.replace("- segmentation\n", ""), encoding="utf-8")
    return folder


def test_an_arm_without_annotations_is_skipped_where_the_study_says_so(without_masks: Path) -> None:
    assert {run.arm for run in plan(without_masks, FROZEN, UNET)} == {"frozen", "unet"}
    assert {run.arm for run in plan(without_masks, FROZEN, UNET, unsupported="skip")} == {"frozen"}


def test_a_packaged_study_is_found_by_its_name_and_a_file_by_its_path(tmp_path: Path) -> None:
    assert study_path(Path("first-answer")) == packaged_studies()["first-answer"]
    assert study_path(tmp_path / "missing.yaml") == tmp_path / "missing.yaml"
    with pytest.raises(S4miError, match=r"first-anwser: neither a study file nor the name of one.*first-answer"):
        study_path(Path("first-anwser"))


@pytest.mark.parametrize("name", sorted(packaged_studies()))
def test_packaged_studies_are_valid_and_their_copies_in_the_checkout_are_links(name: str) -> None:
    study = load_study(Path(name), ["data.path=data"])
    assert list(plan_study(study, Path("out")))
    link = Path(__file__).parents[2] / "studies" / "small" / f"{name}.yaml"
    assert link.is_symlink()
    assert link.resolve() == packaged_studies()[name].resolve()
