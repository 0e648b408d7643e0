"""`s4mi simulate`: rounds of annotation on labelled images, to compare strategies of active learning."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.active_learning.strategies import Strategy
    from s4mi.config import PlannedRun


def simulate(
    file: Path = typer.Argument(
        ..., metavar="STUDY_OR_RUN.yaml", help="Run file, or study file with one arm; on a labelled data set."
    ),
    overrides: list[str] = typer.Argument(
        None, metavar="[KEY=VALUE]...", help="Settings that override those of the file, e.g. data.path=datasets/mine"
    ),
    out: Path = typer.Option(..., "-o", "--out", metavar="DIR", help="Output folder; finished runs in it are kept."),
    strategies: str = typer.Option(
        "random,both×k-centre", "--strategies", metavar="A,B,...",
        help="Strategies to compare: random, foreground (of masks), entropy, noised-entropy, disagreement, both, "
        "k-centre, typicality, per-class, or a combination such as entropy×k-centre or noised-entropy×per-class.",
    ),
    seeds: str = typer.Option("0,1,2,3,4", "--seeds", metavar="A,B,...", help="Seeds; each repeats the simulation."),
    rounds: int = typer.Option(5, "--rounds", min=1, help="Rounds of annotation after the start."),
    count: int = typer.Option(50, "-n", "--count", min=1, help="Images that a strategy chooses in each round."),
    start: int = typer.Option(0, "--start", min=0, show_default="-n", help="Labelled images at the start."),
    per_patient: int = typer.Option(
        3, "--per-patient", min=0, help="Maximum number of images of a patient in a round; 0: no limit."
    ),
    members: int = typer.Option(
        1, "--members", min=1, help="Runs with different seeds in each round; disagreement needs at least 2."
    ),
    arm: str = typer.Option("", "--arm", help="Arm of a study file to simulate, by name."),
) -> None:  # fmt: skip
    """Simulate active learning: would choosing images by a strategy have been worth it?

    Every strategy starts with the same labels and trains from scratch after each round. Writes learning curves on the
    test part to DIR/simulation.csv, .svg, .png and .md. Rerun the same command to resume, also with more rounds, seeds
    or strategies.
    """
    from s4mi.cli.console import print_line, setup_logging
    from s4mi.studies.simulate import SimulationOptions
    from s4mi.studies.simulate import simulate as run_simulation

    setup_logging(facts=False)
    options = SimulationOptions(
        _parse_strategies(strategies), seeds=_parse_seeds(seeds), rounds=rounds, count=count, start=start or count,
        per_patient=per_patient, members=members,
    )  # fmt: skip
    plan = _plan(file, overrides or (), out.absolute(), seeds=options.seeds, arm=arm)
    result = run_simulation(plan, out, options=options, on_message=print_line)
    for line in result.lines:
        print_line(line, style="bold")
    print_line(f"written: {', '.join(map(str, result.files))}")


def _parse_strategies(text: str) -> "tuple[Strategy, ...]":
    from s4mi.active_learning.strategies import Strategy
    from s4mi.errors import S4miError

    strategies = tuple(dict.fromkeys(Strategy.parse(name) for name in text.split(",") if name.strip()))
    if not strategies:
        raise S4miError(f"--strategies {text!r}: no strategy; pass names separated by commas")
    return strategies


def _parse_seeds(text: str) -> tuple[int, ...]:
    from s4mi.errors import S4miError

    try:
        seeds = tuple(dict.fromkeys(int(number) for number in text.split(",") if number.strip()))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise S4miError(f"--seeds {text!r}: not a list of seeds; pass integers of at least 0 separated by commas")
    return seeds


def _plan(file: Path, overrides: Sequence[str], out: Path, *, seeds: Sequence[int], arm: str) -> "list[PlannedRun]":
    """Return for each seed the run to train, after the pre-training run that it starts from, if any."""
    from s4mi.config import PlannedRun, load_run_config, load_study, plan_study
    from s4mi.config.study_defaults import with_defaults
    from s4mi.config.yaml_file import read_settings
    from s4mi.errors import S4miError, nearest

    if "arms" not in read_settings(file, first="data: {path: …}"):
        if arm:
            raise S4miError(f"--arm {arm!r}: {file} is a run file, which has no arms; omit --arm")
        return [PlannedRun("run", load_run_config(file, [*overrides, f"seed={seed}"])) for seed in seeds]
    # Strategies are compared with a validation part and a test part of each seed, which is how simulations began.
    study = with_defaults(load_study(file, [*overrides, f"seeds={list(seeds)}"]), 1)
    plan = list(plan_study(study, out))
    names = list(dict.fromkeys(run.arm for run in plan if run.arm))
    if arm and arm not in names:
        raise S4miError(f"{file}: unknown arm {arm!r}{nearest(arm, names)}; its arms: {', '.join(names)}")
    if not arm and len(names) != 1:
        raise S4miError(f"{file}: has several arms; choose one with --arm: {', '.join(names)}")
    arm = arm or names[0]
    chosen = []
    for seed in seeds:
        run = next(run for run in plan if run.config.seed == seed and run.arm == arm)
        chosen += [other for other in plan if other.name == run.needs]
        chosen.append(run)
    return chosen
