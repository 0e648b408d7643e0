"""Energy is read from counters, across wraps and resumed sessions, and never estimated."""

from pathlib import Path

import pytest
import torch

from s4mi.training.energy import Counter, EnergyMeter, gpus, processors


def package(folder: Path, name: str, number: int, *, joules: float, wrap: float = 100.0) -> Path:
    """Write a powercap folder as Linux has it for a processor."""
    home = folder / f"intel-rapl:{number}"
    home.mkdir(parents=True)
    (home / "name").write_text(f"{name}\n")
    (home / "max_energy_range_uj").write_text(f"{wrap * 1e6:.0f}\n")
    set_to(home, joules)
    return home


def set_to(home: Path, joules: float) -> None:
    (home / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")


def test_what_is_drawn_is_the_difference_summed_over_packages(tmp_path: Path) -> None:
    one, two = package(tmp_path, "package-0", 0, joules=10), package(tmp_path, "package-1", 1, joules=70)
    meter = EnergyMeter(processors(tmp_path))
    assert meter.of == "processor"
    assert meter.read() == 0
    set_to(one, 14)
    set_to(two, 71)
    assert meter.read() == pytest.approx(5)


def test_a_counter_that_wraps_goes_on(tmp_path: Path) -> None:
    home = package(tmp_path, "package-0", 0, joules=90)
    meter = EnergyMeter(processors(tmp_path))
    for joules in (95, 3, 99, 1):
        set_to(home, joules)
        meter.read()
    assert meter.read() == pytest.approx(5 + 8 + 96 + 2)


@pytest.mark.long
def test_parts_of_a_package_and_the_whole_machine_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, "package-0", 0, joules=1)
    package(tmp_path, "psys", 1, joules=1)
    package(tmp_path, "core", 2, joules=1)
    assert len(processors(tmp_path)) == 1


def test_a_machine_that_counts_nothing_measures_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        meter = EnergyMeter(processors(folder))
        assert (meter.read(), meter.of) == (None, "")


def test_a_counter_that_may_not_be_read_is_none(tmp_path: Path) -> None:
    home = package(tmp_path, "package-0", 0, joules=1)
    (home / "energy_uj").unlink()
    (home / "energy_uj").mkdir()  # reading it is an OSError, also for root
    assert EnergyMeter(processors(tmp_path)).read() is None


def test_a_counter_that_is_lost_on_the_way_leaves_nothing_known(tmp_path: Path) -> None:
    home = package(tmp_path, "package-0", 0, joules=1)
    meter = EnergyMeter(processors(tmp_path))
    (home / "energy_uj").unlink()
    assert meter.read() is None
    set_to(home, 5)
    assert meter.read() is None, "a part of the run is missing for ever"


@pytest.mark.long
def test_a_resumed_run_adds_what_it_has_drawn_before_if_that_is_known(tmp_path: Path) -> None:
    home = package(tmp_path, "package-0", 0, joules=1)
    meter = EnergyMeter(processors(tmp_path))
    meter.add_previous(30.0)
    set_to(home, 3)
    assert meter.read() == pytest.approx(32)
    meter.add_previous(None)
    assert meter.read() is None


def test_a_counter_without_wraps_that_falls_is_not_believed() -> None:
    values = iter([10.0, 5.0])
    meter = EnergyMeter([Counter("GPU", lambda: next(values))])
    assert meter.of == "GPU"
    assert meter.read() is None


def test_without_a_driver_there_is_no_counter_of_a_gpu() -> None:
    if not torch.cuda.is_available():
        assert gpus(torch.device("cuda", 0)) == []
