"""`steps` set the length of a run whatever the number of images; epochs as before."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.config import RunConfig, load_run_config, load_study, make_run_config, make_study, plan_study
from s4mi.config.changed_settings import changed_settings
from s4mi.config.layers import merged, stacked
from s4mi.config.run import differences
from s4mi.config.yaml_file import apply_overrides
from s4mi.errors import S4miError

STUDIES = Path(__file__).parents[2] / "studies"
FILES = sorted([*STUDIES.glob("single/*.yaml"), *STUDIES.glob("small/*.yaml")])


def config(**settings: Any) -> RunConfig:
    return make_run_config({"data": {"path": "images"}, "method": "dedl", **settings}, origin="run.yaml")


def length(run: RunConfig) -> tuple[int | None, int, int | None, int]:
    return run.steps, run.epochs, run.epoch_steps, run.optim.cosine_epochs


@pytest.mark.parametrize(
    ("given_settings", "expected"),
    [
        ({}, (None, 50, None, 50)),
        ({"epochs": 7}, (None, 7, None, 50)),
        ({"epochs": 7, "epoch_steps": 3}, (None, 7, 3, 50)),
        ({"steps": 400}, (400, 20, 20, 20)),
        ({"steps": 400, "epoch_steps": 50}, (400, 8, 50, 8)),
        ({"steps": 400, "epochs": 10}, (400, 10, 40, 10)),
        ({"steps": 410}, (410, 20, 21, 20)),  # rounded up to whole epochs
        ({"steps": 3}, (3, 3, 1, 3)),
        ({"steps": 400, "epochs": None}, (400, 20, 20, 20)),
        ({"steps": 400, "optim": {"cosine_epochs": 7}}, (400, 20, 20, 7)),
        ({"steps": 400, "optim": None}, (400, 20, 20, 20)),
        ({"steps": "400"}, (400, 20, 20, 20)),
    ],
)
def test_steps_become_epochs_and_the_schedule_spans_them(
    given_settings: dict[str, Any], expected: tuple[int | None, int, int | None, int]
) -> None:
    assert length(config(**given_settings)) == expected


@settings(deadline=None, max_examples=50)
@given(steps=st.integers(1, 5000), epoch_steps=st.none() | st.integers(1, 300))
def test_a_run_makes_the_steps_and_less_than_an_epoch_more(steps: int, epoch_steps: int | None) -> None:
    run = config(steps=steps, epoch_steps=epoch_steps)
    assert run.epoch_steps is not None
    assert steps <= run.epochs * run.epoch_steps < steps + run.epoch_steps
    assert make_run_config(run.model_dump(mode="json"), origin="saved") == run


def test_two_lengths_that_differ_are_refused() -> None:
    with pytest.raises(
        S4miError, match=r"run\.yaml: steps: 400 steps are 20 epochs of 20, but epochs is 10; set only one"
    ):
        config(steps=400, epoch_steps=20, epochs=10)


@pytest.mark.parametrize("wrong", [0, -1, "many", 2.5])
def test_a_wrong_number_of_steps_is_named(wrong: object) -> None:
    with pytest.raises(S4miError, match=r"run\.yaml: steps"):
        config(steps=wrong)


def test_steps_are_only_another_way_to_write_epochs() -> None:
    steps = config(steps=400)
    epochs = config(epochs=20, epoch_steps=20, optim={"cosine_epochs": 20})
    assert steps.hash == epochs.hash
    assert differences(steps, epochs) == []
    assert steps.hash != config(steps=800).hash
    assert differences(steps, config(steps=800))


def test_changed_steps_are_named_and_not_what_follows_from_them() -> None:
    forty = config(steps=40)
    assert changed_settings(forty, config(steps=80)) == ["steps: 40 → 80"]
    assert changed_settings(forty, config(steps=20, epoch_steps=4)) == ["steps: 40 → 20", "epoch_steps: 2 → 4"]
    assert changed_settings(config(steps=40, epochs=4), config(steps=80, epochs=8)) == ["steps: 40 → 80"]
    assert changed_settings(forty, config(steps=80, seed=3)) == ["steps: 40 → 80", "seed: 0 → 3"]
    to_epochs = changed_settings(forty, config(epochs=5))
    assert to_epochs[0] == "steps: 40 → None"
    assert "epochs: 20 → 5" in to_epochs
    assert changed_settings(forty, config(epochs=20, epoch_steps=2, optim={"cosine_epochs": 20})) == []
    assert changed_settings(config(epochs=4), config(epochs=5)) == ["epochs: 4 → 5"]


def test_the_later_of_steps_and_epochs_counts() -> None:
    small = {"steps": 400, "epoch_steps": 20, "optim": {"lr": 1e-3}}
    older = {"epochs": 40, "optim": {"cosine_epochs": 40, "lr": 1e-3}}
    assert merged(small, {"epochs": 5}) == {"epochs": 5, "epoch_steps": 20, "optim": {"lr": 1e-3}}
    assert merged(older, {"steps": 200}) == {"steps": 200, "optim": {"lr": 1e-3}}
    assert merged(older, {"steps": 200, "optim": {"cosine_epochs": 3}})["optim"] == {"lr": 1e-3, "cosine_epochs": 3}
    assert merged(older, {"steps": None}) == {**older, "steps": None}
    assert stacked([older, small, {"epochs": 2}])["epochs"] == 2
    assert "steps" not in stacked([older, small, {"epochs": 2}])
    assert older == {"epochs": 40, "optim": {"cosine_epochs": 40, "lr": 1e-3}}  # a layer is not changed


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["epochs=2"], {"epochs": 2, "optim": {"lr": 1}}),
        (["steps=9"], {"steps": 9, "optim": {"lr": 1}}),
        (["steps=9", "epochs=3"], {"steps": 9, "epochs": 3, "optim": {"lr": 1}}),
        (["optim.lr=2"], {"steps": 400, "optim": {"lr": 2}}),
    ],
)
def test_an_override_replaces_the_length_of_the_file(overrides: list[str], expected: dict[str, Any]) -> None:
    assert apply_overrides({"steps": 400, "optim": {"lr": 1}}, overrides) == expected


def test_an_override_in_a_section_of_a_study_replaces_its_length() -> None:
    contents = {"settings": {"epochs": 4, "optim": {"cosine_epochs": 4}}, "epochs": 1}
    assert apply_overrides(contents, ["settings.steps=9", "settings.optim.min_lr=0"]) == {
        "settings": {"steps": 9, "optim": {"min_lr": 0}},
        "epochs": 1,
    }


def test_a_study_that_counts_epochs_on_a_profile_that_counts_steps_trains_those_epochs() -> None:
    contents = {"profile": "small", "data": {"path": "/data"}, "seeds": [0], "label_fractions": [10]}
    (run,) = plan_study(make_study({**contents, "settings": {"epochs": 3}, "arms": ["dedl"]}, origin="old"), Path())
    assert (run.config.steps, run.config.epochs, run.config.epoch_steps) == (None, 3, None)
    (run,) = plan_study(make_study({**contents, "arms": [{"method": "dedl", "steps": 60}]}, origin="new"), Path())
    assert length(run.config) == (60, 20, 3, 20)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(STUDIES).as_posix())
def test_every_shipped_file_says_steps_and_no_run_makes_few(path: Path) -> None:
    contents = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert "steps" in str(contents) or contents["profile"] == "strong"  # which says them
    if path.parent.name == "single":
        runs = [load_run_config(path)]
    else:
        runs = [run.config for run in plan_study(load_study(path), Path("/out"))]
    for run in (run for run in runs if not run.method.fitted):
        assert run.steps is not None
        assert run.steps >= 300
        assert run.optim.cosine_epochs == run.epochs or run.optim.schedule != "cosine"
