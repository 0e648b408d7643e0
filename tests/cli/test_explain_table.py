"""The table that `s4mi explain` prints has every number whole, however narrow the terminal is."""

import pytest

from s4mi.cli.explain import _print
from s4mi.inference.mean_interval import MeanInterval
from s4mi.inference.saliency_baselines import Baselines
from s4mi.inference.saliency_scores import ExplainSummary, MapSummary


@pytest.mark.parametrize("columns", ["60", "80", "250"])
def test_no_number_of_the_table_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    numbers = iter(range(10, 100))

    def mean() -> MeanInterval:
        low = next(numbers) / 100
        return MeanInterval(mean=low + 0.01, low=-low, high=low + 0.02, n=9)

    def beside() -> Baselines:
        return Baselines(
            centre=mean(), above_centre=mean(), p_centre=0.5, others=mean(), above_others=mean(), p_others=0.5
        )

    one = MapSummary(
        run="a", technique="t", method="attention_rollout", images=9, pointing=mean(), energy=mean(), area=mean(),
        energy_above_area=None, pointing_baselines=beside(), energy_baselines=beside(), randomised=mean(), warning="",
    )  # fmt: skip
    _print(
        ExplainSummary(
            images=9,
            failed=0,
            synthetic=False,
            explained_class="predicted",
            split="test",
            tolerance=0,
            seed=0,
            maps=[one],
        )
    )
    shown = capsys.readouterr().out
    assert "…" not in shown
    for score in (one.pointing, one.energy, one.area, one.randomised):
        assert score is not None
        assert f"{score.mean:.2f} ({score.low:.2f}–{score.high:.2f})" in shown
