"""Seeds and label fractions given on the command line hold for arms that have some of their own."""

from pathlib import Path
from typing import Any

import pytest

from s4mi.config import load_study, override_study
from s4mi.errors import S4miError

STUDY: dict[str, Any] = {
    "data": {"path": "mine"}, "seeds": [0, 1, 2, 3], "label_fractions": [5, 10, 50, 100],
    "arms": ["classical", {"name": "costly", "method": "finetune", "seeds": [0, 1], "label_fractions": [10, 100]}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "seeds", "fractions"),
    [
        (["seeds=[1,2]"], [1], [10, 100]),
        (["seeds=[0,1,2,3,4,5]"], [0, 1], [10, 100]),
        (["label_fractions=[50,100]"], [0, 1], [100]),
        (["seeds=[7,8,9]", "label_fractions=[20]"], [7, 8], [20]),
        (["budget=2 h"], [0, 1], [10, 100]),
    ],
)
def test_an_arm_keeps_what_was_given(given: list[str], seeds: list[int], fractions: list[int]) -> None:
    classical, costly = override_study(STUDY, given)["arms"]
    assert classical == "classical"
    assert (costly["seeds"], costly["label_fractions"]) == (seeds, fractions)
    assert STUDY["arms"][1]["seeds"] == [0, 1], "the study itself stays"


def test_the_packaged_study_can_be_made_smaller_on_the_command_line() -> None:
    study = load_study(Path("first-answer"), ["data.path=mine", "seeds=[0,1]", "label_fractions=[50,100]"])
    assert {seed for arm in study.arms for seed in arm.seeds or ()} == {0, 1}
    assert {fraction for arm in study.arms for fraction in arm.label_fractions or ()} == {50, 100}


def test_a_setting_with_dots_in_a_file_is_refused_with_how_to_write_it(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "data: {path: mine}\nseeds: [0]\nlabel_fractions: [100]\nsettings: {data.image_size: 64}\narms: [dedl]\n"
    )
    with pytest.raises(S4miError, match=r"arm 'dedl': unknown setting data\.image_size; .*data: \{image_size: …\}"):
        load_study(tmp_path / "s.yaml")
