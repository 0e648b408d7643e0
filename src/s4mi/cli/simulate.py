"""`s4mi suggest --simulate`: rounds of annotation replayed on labelled images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from s4mi.cli.console import print_line

if TYPE_CHECKING:
    from s4mi.config import PlannedRun


def run_simulation(
    file: Path, overrides: Sequence[str], out: Path, *, count: int, strategies: str, rounds: int, start: int,
    seeds: str, per_patient: int, members: int, arm: str,
) -> None:  # fmt: skip
    """Play it and say what came out."""
    from s4mi.active_learning.strategies import Strategy
    from s4mi.errors import S4miError
    from s4mi.studies.simulate import SimulationOptions, simulate

    if out.suffix == ".csv":
        raise S4miError(f"{out}: --simulate fills a folder; name one with -o")
    named = tuple(dict.fromkeys(Strategy.parse(one) for one in strategies.split(",") if one.strip()))
    try:
        numbers = tuple(dict.fromkeys(int(one) for one in seeds.split(",") if one.strip()))
    except ValueError:
        numbers = ()
    if not named or not numbers or min(numbers) < 0:
        what, given = ("--strategies", strategies) if not named else ("--seeds", seeds)
        raise S4miError(f"{what} {given!r}: names none; give some with commas in between")
    game = SimulationOptions(
        named, seeds=numbers, rounds=rounds, count=count, start=start, per_patient=per_patient, members=members
    )
    plan = _plan(file, overrides, out.absolute(), seeds=numbers, arm=arm)
    made = simulate(plan, out, game=game, tell=print_line)
    for line in made.lines:
        print_line(line, style="bold")
    print_line(f"written: {', '.join(map(str, made.files))}")


def _plan(file: Path, overrides: Sequence[str], out: Path, *, seeds: Sequence[int], arm: str) -> "list[PlannedRun]":
    """For each seed its run, and before it the pre-training it needs."""
    from s4mi.config import PlannedRun, load_run_config, load_study, plan_study
    from s4mi.config.yaml_file import read_settings
    from s4mi.errors import S4miError, nearest

    if "arms" not in read_settings(file, first="data: {path: …}"):
        if arm:
            raise S4miError(f"--arm {arm!r}: {file} is a run file, which has none; leave it out")
        return [PlannedRun("run", load_run_config(file, [*overrides, f"seed={seed}"])) for seed in seeds]
    study = load_study(file, [*overrides, f"seeds={list(seeds)}"])
    plan = list(plan_study(study, out))
    names = list(dict.fromkeys(run.arm for run in plan if run.arm))
    wanted = [name for name in names if name == arm or (not arm and len(names) == 1)]
    if not wanted:
        problem = f"is none of its arms{nearest(arm, names)}" if arm else "has several arms; choose one with --arm"
        raise S4miError(f"{file}: {repr(arm) + ' ' if arm else ''}{problem}: {', '.join(names)}")
    chosen = []
    for seed in seeds:
        run = next(run for run in plan if run.config.seed == seed and run.arm == wanted[0])
        chosen += [other for other in plan if other.name == run.needs]
        chosen.append(run)
    return chosen
