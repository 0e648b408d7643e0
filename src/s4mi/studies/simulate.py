"""Would it have been worth it? Rounds of annotation replayed on images whose labels are known, by several strategies.

Every strategy begins with the same labelled images, gets as many in each round, and trains from scratch with the same
settings; the labels of a round are hidden until its strategy has asked for them. Test images are scored once a run, and
no choice looks at them.

<out>/simulation.json            what is played, so that a second call goes on with the same
      pretraining/…              of a study file, once a seed
      runs/seed0/start/          the labelled images of the start (split.json) and the run, or runs, on them
      runs/seed0/<strategy>/round1/   those of the strategy after its first choice, and so on
      simulation.csv             a row a strategy, seed and round
      simulation.svg, .png, .md  the curves, and what they say
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from s4mi.active_learning.candidates import Candidates
from s4mi.active_learning.committee import Committee
from s4mi.active_learning.scoring import score_candidates
from s4mi.active_learning.strategies import RANDOM, Strategy, choose
from s4mi.config import PlannedRun, RunConfig, SplitConfig
from s4mi.data.manifest import PARTS, Row
from s4mi.data.splits.split_file import Split, hash_of, save_split
from s4mi.errors import S4miError
from s4mi.recipes.train import train, train_supervised
from s4mi.records import CONFIG_NAME, RunRecord, TaskKind, write_text_atomically
from s4mi.report.results.scores import metric_of, score_of
from s4mi.report.results.simulation import RoundScore
from s4mi.report.writers.simulation import read_simulation, write_simulation
from s4mi.training.prepare import Prepared, prepare

SETTINGS = "simulation.json"
CHOSEN = "chosen.json"
SPLIT = "split.json"
APART = 1000
"""Between the seeds of the members of one committee, so that they are no seeds of another."""

ReportLine = Callable[[str], None]


@dataclass(frozen=True)
class SimulationOptions:
    """The rules.

    Attributes:
        start: labelled images at the start. count: images chosen in each of `rounds`.
        members: runs on the same images that differ in their seed; with several, seeds can disagree.
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
    """What was written, and the curves in words."""

    files: tuple[Path, ...]
    lines: tuple[str, ...]


def simulate(
    plan: Sequence[PlannedRun], out: Path, *, game: SimulationOptions, tell: ReportLine = lambda _: None
) -> SimulationResult:
    """Play all rounds that are not played yet.

    Args:
        plan: for each seed the run to make, and before it the pre-training run that it needs, if it needs one.

    Raises:
        S4miError: the folder holds another simulation, the data set is too small, or a run cannot be made.
    """
    answering = [planned for planned in plan if not planned.config.method.pretrains]
    _check_folder(out, answering[0].config, game)
    pretraining = {planned.name: planned for planned in plan if planned.config.method.pretrains}
    results: list[RoundScore] = []
    table: dict[tuple[str, int, int], RoundScore] = {}
    kind: TaskKind | None = None
    for planned in answering:
        if planned.needs is not None:
            tell(f"{planned.needs}: pre-training, or there already")
            train(pretraining[planned.needs].config, out / planned.needs, resume=True)
        seed = _Seed(planned.config, out, game, needs=None if planned.needs is None else out / planned.needs, tell=tell)
        if kind is None:
            kind = seed.kind
            table = {_round_of(result): result for result in read_simulation(out, metric_of(kind))}
        for result in seed.play():
            results.append(result)
            if _round_of(result) not in table:
                table[_round_of(result)] = result
                _write(list(table.values()), kind, out)  # a look at it is worth having while it goes on
    assert kind is not None
    files, lines = _write(results, kind, out)
    return SimulationResult(files, lines)


def _write(results: Sequence[RoundScore], kind: TaskKind, out: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    return write_simulation(results, metric_of(kind), out, reference=RANDOM)


def _round_of(result: RoundScore) -> tuple[str, int, int]:
    return result.strategy, result.seed, result.round


class _Seed:
    """All strategies with one seed: one split, one start."""

    def __init__(
        self, config: RunConfig, out: Path, game: SimulationOptions, *, needs: Path | None, tell: ReportLine
    ) -> None:
        self._game, self._needs, self._tell = game, needs, tell
        self._folder = out / "runs" / f"seed{config.seed}"
        if config.method.unlabelled:
            raise S4miError(f"method {config.method.name}: learns without labels, so more of them teach it nothing")
        self._config = config.model_copy(update={"label_fraction": f"{game.start} images"})
        self._prepared: Prepared = prepare(self._config)
        self.kind: TaskKind = self._prepared.task.kind
        wanted = game.start + game.rounds * game.count
        there = len(self._prepared.annotated("train"))
        if there < wanted:
            raise S4miError(
                f"{config.data.path}: has {there} annotated training images, but {game.rounds} rounds come to "
                f"{wanted}; lower --rounds, -n or --start"
            )
        if not self._prepared.annotated("test"):
            raise S4miError(
                f"{config.data.path}: has no annotated test images to compare strategies on; take another split"
            )

    def play(self) -> Iterator[RoundScore]:
        """Every round, the start first, once for all strategies."""
        first = self._train(self._folder / "start", self._prepared.split.labelled)
        for strategy in self._game.strategies:
            yield self._result(strategy, 0, first, len(self._prepared.split.labelled))
        for strategy in self._game.strategies:
            labelled = self._prepared.split.labelled
            last = self._folder / "start"
            for number in range(1, self._game.rounds + 1):
                folder = self._folder / str(strategy).replace("×", "-x-") / f"round{number}"
                chosen = self._chosen(folder, last, strategy, labelled, number=number)
                labelled = tuple(sorted({*labelled, *chosen}))
                yield self._result(strategy, number, self._train(folder, labelled), len(labelled))
                last = folder

    def _train(self, folder: Path, labelled: Sequence[int]) -> list[RunRecord]:
        """The runs on these labels; those that are finished are kept."""
        manifest, split = self._prepared.manifest, self._prepared.split
        parts = {part: split.rows(part) for part in PARTS}
        own = Split(**parts, labelled=tuple(labelled), hash=hash_of(manifest, parts, labelled))
        path = folder / SPLIT
        if not path.exists():
            save_split(own, manifest, path)
        records = []
        for member in range(self._game.members):
            seed = self._config.seed + APART * member
            config = self._config.model_copy(
                update={
                    "split": SplitConfig(kind="file", file=path.absolute()), "label_fraction": "saved", "seed": seed
                }
            )  # fmt: skip
            records.append(train_supervised(config, folder / f"run-seed{seed}", resume=True))
        return records

    def _chosen(
        self, folder: Path, last: Path, strategy: Strategy, labelled: Sequence[int], *, number: int
    ) -> list[int]:
        """The rows that a strategy asks to be labelled after the runs in the folder `last`."""
        path = folder / CHOSEN
        row_of = {row.id: number for number, row in enumerate(self._prepared.manifest.rows)}
        if path.exists():
            return [row_of[str(one)] for one in json.loads(path.read_text(encoding="utf-8"))]
        manifest, hidden = self._prepared.manifest, {*self._prepared.annotated("train")} - {*labelled}
        candidates = Candidates(
            _by_id([manifest.rows[row] for row in hidden]), _by_id([manifest.rows[row] for row in labelled])
        )
        runs = sorted(last.glob(f"run-seed*/{CONFIG_NAME}"))
        committee = Committee(last) if strategy.needs_predictions else None
        if strategy.uncertainty == "disagreement" and committee is not None and len(committee.members) < 2:
            raise S4miError(f"{last}: is one network, which disagrees with nobody; raise --members, or take entropy")
        encoder = (self._needs or runs[0].parent) if strategy.needs_features else None
        assessed = score_candidates(candidates, committee, encoder)
        picks = choose(
            assessed.pool, strategy, count=self._game.count, per_patient=self._game.per_patient,
            seed=self._config.seed * APART + number,
        )  # fmt: skip
        if len(picks) < self._game.count:
            raise S4miError(
                f"{manifest.folder}: only {len(picks)} of {self._game.count} images can be chosen with at most "
                f"{self._game.per_patient} of a patient; raise --per-patient, or 0 for any number"
            )
        ids = [assessed.candidates.rows[pick.position].id for pick in picks]
        write_text_atomically(path, json.dumps(ids, ensure_ascii=False, indent=1) + "\n")
        return [row_of[one] for one in ids]

    def _result(self, strategy: Strategy, number: int, records: Sequence[RunRecord], labels: int) -> RoundScore:
        metric = metric_of(self.kind)
        scores = [score for record in records if (score := score_of(record, metric)) is not None]
        if not scores:
            raise S4miError(f"{self._config.data.path}: its test images give no {metric.label}; take another split")
        result = RoundScore(str(strategy), self._config.seed, number, labels, sum(scores) / len(scores))
        self._tell(
            f"seed {result.seed}, {strategy}, round {number}: {labels} labels, {metric.label} {result.score:.3f}"
        )
        return result


def _by_id(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.id))


def _check_folder(out: Path, config: RunConfig, game: SimulationOptions) -> None:
    """Let a second call go on with the same game; more rounds, strategies and seeds are the same.

    Raises:
        S4miError: the folder holds another game, or something else.
    """
    rules = asdict(replace(game, strategies=(), seeds=(), rounds=0))
    own = {name: rules[name] for name in ("count", "start", "per_patient", "members")}
    own |= {"run": config.model_copy(update={"seed": 0}).hash, "data": str(config.data.path)}
    path = out / SETTINGS
    if path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        changed = [f"{name} {held.get(name)} → {value}" for name, value in own.items() if held.get(name) != value]
        if changed:
            raise S4miError(
                f"{path}: another simulation is there ({', '.join(changed)}); choose another folder with -o"
            )
    elif out.exists() and any(out.iterdir()):
        raise S4miError(f"{out}: holds something else; choose an empty folder with -o")
    write_text_atomically(path, json.dumps(own, indent=1) + "\n")
