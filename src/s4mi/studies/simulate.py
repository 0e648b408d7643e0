"""Simulate active learning: rounds of annotation on a labelled data set, with several strategies.

Every strategy starts with the same labelled images, adds the same number in each round, and trains from scratch with
the same settings; the labels of an image are hidden until the strategy has chosen it. Test images are scored once per
run, and no strategy sees them.

<out>/simulation.json            options, so that a second call resumes the same simulation
      pretraining/…              pre-training runs of a study file, one per seed
      runs/seed0/start/          initial labelled images (split.json) and the run, or runs, trained on them
      runs/seed0/<strategy>/round1/   the same after the first choice of a strategy, and so on
      simulation.csv             a row for each strategy, seed and round, those of earlier calls included
      simulation.svg, .png, .md  learning curves and conclusions
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from s4mi.active_learning.candidates import Candidates
from s4mi.active_learning.committee import Committee
from s4mi.active_learning.scoring import score_candidates
from s4mi.active_learning.strategies import RANDOM, Strategy, choose
from s4mi.config import PlannedRun, RunConfig, SplitConfig
from s4mi.data.row import PARTS, Row
from s4mi.data.splits.split_file import Split, hash_of, save_split
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.recipes.train import train, train_supervised
from s4mi.records import CONFIG_NAME, RunRecord, TaskKind, write_text_atomically
from s4mi.records.plain import load_json
from s4mi.reporting.results.scores import metric_of, score_of
from s4mi.reporting.results.simulation import RoundScore
from s4mi.reporting.writers.simulation import read_simulation, write_simulation
from s4mi.training.prepare import Prepared, prepare
from s4mi.training.run_dir import RunDir, visible

OPTIONS_NAME = "simulation.json"
CHOSEN_NAME = "chosen.json"
SPLIT_NAME = "split.json"
MEMBER_SEED_STEP = 1000
"""Distance between the seeds of the members of a committee, so that they differ from the seeds of other committees."""

T = TypeVar("T", list[object], dict[str, object])
MessageHandler = Callable[[str], None]


@dataclass(frozen=True)
class SimulationOptions:
    """Options of a simulation.

    Attributes:
        rounds: rounds of annotation after the start.
        count: images that a strategy chooses in each round.
        start: labelled images at the start.
        per_patient: maximum number of images of a patient in a round; 0: no limit.
        members: runs on the same labels that differ in their seed; disagreement needs at least 2.
    """

    strategies: tuple[Strategy, ...]
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    rounds: int = 5
    count: int = 20
    start: int = 20
    per_patient: int = 3
    members: int = 1


@dataclass(frozen=True)
class SimulationResult:
    """Files of a simulation, and its conclusions in one line each."""

    files: tuple[Path, ...]
    lines: tuple[str, ...]


def simulate(
    plan: Sequence[PlannedRun],
    out: Path,
    *,
    options: SimulationOptions,
    on_message: MessageHandler = lambda _: None,
) -> SimulationResult:
    """Run all rounds that are not finished yet, in the folder `out`.

    Args:
        plan: for each seed the run to train, after the pre-training run that it starts from, if any.
        on_message: called with a line after each round.

    Raises:
        S4miError: the folder contains another simulation, the data set is too small, or a run cannot be trained.
    """
    supervised = [planned for planned in plan if not planned.config.method.pretrains]
    _check_folder(out, supervised[0].config, options)
    pretraining = {planned.name: planned for planned in plan if planned.config.method.pretrains}
    results: list[RoundScore] = []
    table: dict[tuple[str, int, int], RoundScore] = {}
    kind: TaskKind | None = None
    for planned in supervised:
        pretrained = None
        if planned.needs is not None:
            pretrained = out / planned.needs
            on_message(f"{planned.needs}: {'already finished' if RunDir(pretrained).finished else 'pre-training'}")
            train(pretraining[planned.needs].config, pretrained, resume=True)
        seed = _SeedSimulation(planned.config, out, options, pretrained=pretrained, on_message=on_message)
        if kind is None:
            kind = seed.kind
            table = {_round_key(result): result for result in read_simulation(out, metric_of(kind))}
        for result in seed.run():
            results.append(result)
            if _round_key(result) not in table:
                table[_round_key(result)] = result
                _write(list(table.values()), kind, out)  # intermediate results can be viewed meanwhile
    assert kind is not None
    files, lines = _write([*results, *_others(table, results)], kind, out)
    return SimulationResult(files, lines)


def _write(results: Sequence[RoundScore], kind: TaskKind, out: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    return write_simulation(results, metric_of(kind), out, reference=RANDOM)


def _others(table: Mapping[tuple[str, int, int], RoundScore], results: Sequence[RoundScore]) -> list[RoundScore]:
    """Rounds of earlier calls with seeds, strategies or rounds that this one was not asked for."""
    keys = {_round_key(result) for result in results}
    return [score for key, score in table.items() if key not in keys]


def _round_key(result: RoundScore) -> tuple[str, int, int]:
    return result.strategy, result.seed, result.round


class _SeedSimulation:
    """All strategies with one seed, which share the split and the initial labels."""

    def __init__(
        self,
        config: RunConfig,
        out: Path,
        options: SimulationOptions,
        *,
        pretrained: Path | None,
        on_message: MessageHandler,
    ) -> None:
        self._options, self._pretrained, self._on_message = options, pretrained, on_message
        self._folder = out / "runs" / f"seed{config.seed}"
        if config.method.unlabelled:
            raise S4miError(f"method {config.method.name!r} does not use labels; choose a method that does")
        self._config = config.model_copy(update={"label_fraction": f"{options.start} images"})
        self._prepared: Prepared = prepare(self._config)
        self.kind: TaskKind = self._prepared.task.kind
        needed = options.start + options.rounds * options.count
        annotated = len(self._prepared.annotated("train"))
        if annotated < needed:
            raise S4miError(
                f"{config.data.path}: {needed} annotated training images needed for "
                f"{plural(options.rounds, 'round')}, found {annotated}; lower --rounds, -n or --start"
            )
        if not self._prepared.annotated("test"):
            raise S4miError(f"{config.data.path}: no annotated test images; use another split")

    def run(self) -> Iterator[RoundScore]:
        """Yield the score of every round; the start first, which all strategies share."""
        first = self._train(self._folder / "start", self._prepared.split.labelled)
        for strategy in self._options.strategies:
            yield self._score(strategy, 0, first)
        for strategy in self._options.strategies:
            labelled = self._prepared.split.labelled
            previous = self._folder / "start"
            for number in range(1, self._options.rounds + 1):
                folder = self._folder / str(strategy).replace("×", "-x-") / f"round{number}"
                chosen = self._choose(folder, previous, strategy, labelled, number=number)
                labelled = tuple(sorted({*labelled, *chosen}))
                yield self._score(strategy, number, self._train(folder, labelled))
                previous = folder

    def _train(self, folder: Path, labelled: Sequence[int]) -> list[RunRecord]:
        """Train the runs on these labels; finished runs are kept."""
        manifest, split = self._prepared.manifest, self._prepared.split
        parts = {part: split.rows(part) for part in PARTS}
        round_split = Split(**parts, labelled=tuple(labelled), hash=hash_of(manifest, parts, labelled))
        path = folder / SPLIT_NAME
        if not path.exists():
            save_split(round_split, manifest, path)
        records = []
        for member in range(self._options.members):
            seed = self._config.seed + MEMBER_SEED_STEP * member
            config = self._config.model_copy(
                update={
                    "split": SplitConfig(kind="file", file=path.absolute()), "label_fraction": "saved", "seed": seed
                }
            )  # fmt: skip
            records.append(train_supervised(config, folder / f"run-seed{seed}", resume=True))
        return records

    def _choose(
        self, folder: Path, previous: Path, strategy: Strategy, labelled: Sequence[int], *, number: int
    ) -> list[int]:
        """Return the rows that a strategy chooses for labelling, based on the runs in the folder `previous`."""
        path = folder / CHOSEN_NAME
        row_of = {row.id: number for number, row in enumerate(self._prepared.manifest.rows)}
        if path.exists():
            ids = [str(row_id) for row_id in _stored(path, list)]
            if unknown := [row_id for row_id in ids if row_id not in row_of]:
                raise S4miError(
                    f"{path}: image {unknown[0]!r} is not in the data set any more; simulate again in another folder"
                )
            return [row_of[row_id] for row_id in ids]
        manifest, hidden = self._prepared.manifest, {*self._prepared.annotated("train")} - {*labelled}
        candidates = Candidates(
            _by_id([manifest.rows[row] for row in hidden]), _by_id([manifest.rows[row] for row in labelled])
        )
        runs = sorted(previous.glob(f"run-seed*/{CONFIG_NAME}"))
        committee = Committee(previous) if strategy.needs_predictions else None
        if strategy.uncertainty == "disagreement" and committee is not None and len(committee.members) < 2:
            raise S4miError(f"{previous}: disagreement needs at least 2 networks; raise --members, or use entropy")
        encoder = (self._pretrained or runs[0].parent) if strategy.needs_features else None
        assessed = score_candidates(candidates, committee, encoder)
        picks = choose(
            assessed.pool, strategy, count=self._options.count, per_patient=self._options.per_patient,
            seed=self._config.seed * MEMBER_SEED_STEP + number,
        )  # fmt: skip
        if len(picks) < self._options.count:
            raise S4miError(
                f"{manifest.folder}: only {len(picks)} of {self._options.count} images can be chosen with at most "
                f"{self._options.per_patient} per patient; raise --per-patient, or set it to 0 for no limit"
            )
        ids = [assessed.candidates.rows[pick.position].id for pick in picks]
        write_text_atomically(path, json.dumps(ids, ensure_ascii=False, indent=1) + "\n")
        return [row_of[row_id] for row_id in ids]

    def _score(self, strategy: Strategy, number: int, records: Sequence[RunRecord]) -> RoundScore:
        metric, labels = metric_of(self.kind), records[0].labels.n  # those held out of training too, if they count
        scores = [score for record in records if (score := score_of(record, metric)) is not None]
        if not scores:
            raise S4miError(f"{self._config.data.path}: no {metric.label} on its test images; use another split")
        result = RoundScore(str(strategy), self._config.seed, number, labels, sum(scores) / len(scores))
        self._on_message(
            f"seed {result.seed}, {strategy}, round {number}: {labels} labels, {metric.label} {result.score:.3f}"
        )
        return result


def _by_id(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.id))


def _check_folder(out: Path, config: RunConfig, options: SimulationOptions) -> None:
    """Check that the folder is empty or contains the same simulation, perhaps with fewer rounds, strategies or seeds.

    Raises:
        S4miError: the folder contains another simulation, or other files.
    """
    values = asdict(replace(options, strategies=(), seeds=(), rounds=0))
    fixed = {name: values[name] for name in ("count", "start", "per_patient", "members")}
    fixed |= {"run": config.model_copy(update={"seed": 0}).hash, "data": str(config.data.path)}
    path = out / OPTIONS_NAME
    if path.exists():
        stored = _stored(path, dict)
        changed = [f"{name} {stored.get(name)} → {value}" for name, value in fixed.items() if stored.get(name) != value]
        if changed:
            raise S4miError(
                f"{path}: the folder contains another simulation ({', '.join(changed)}); choose another folder with -o"
            )
    elif out.exists() and visible(out):
        raise S4miError(f"{out}: the folder contains other files; choose an empty folder with -o")
    write_text_atomically(path, json.dumps(fixed, indent=1) + "\n")


def _stored(path: Path, kind: type[T]) -> T:
    """Read a JSON file of the simulation that holds a list or an object.

    Raises:
        S4miError: it is damaged.
    """
    try:
        contents = load_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise S4miError(f"{path}: not valid JSON ({error}); simulate again in another folder") from error
    if not isinstance(contents, kind):
        raise S4miError(f"{path}: holds no {kind.__name__}; simulate again in another folder")
    return contents
