"""Cost of the runs of a comparison, beside their scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.formatting import duration
from s4mi.records import Cost, RunRecord
from s4mi.records.run import BUSY
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.fit_costs import STORED, encoding_seconds, short_duration, training_seconds
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.printed_interval import printed_interval
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, TECHNIQUE, MeanScore, ResultTable, runs_by_cell, technique_cell

NOT_MEASURED = "Energy was not measured: no readable processor or GPU energy counter on the machines of these runs."

BUSY_NOTE = (
    f"Busy machine: more than {BUSY:g} processes per core ran or waited, so that times are longer than those of the "
    "run alone; do not compare them."
)


@dataclass(frozen=True)
class CostRow:
    """Mean cost of one run of a technique at a label fraction, over its seeds. Memory in MiB, energy in watt-hours.

    Attributes:
        seconds: without computing stored features.
        pretraining_seconds: additional, once for all the runs that start from one pre-training; None without one.
        feature_seconds: additional, once for all the runs fitted to the same features; 0 where the store had them
            before, None where nothing is fitted to stored features.
        energy_wh: None unless it was measured for every run. energy_of: the devices measured.
        busy: other programs ran beside any of the runs.
    """

    technique: Technique
    column: LabelColumn
    score: MeanScore
    seconds: float
    pretraining_seconds: float | None
    feature_seconds: float | None
    images_per_second: float
    peak_memory_mib: float
    energy_wh: float | None
    energy_of: str
    parameters: int
    devices: str
    busy: bool = False


def cost_rows(comparison: Comparison, metric: Metric, results: ResultTable | None = None) -> tuple[CostRow, ...]:
    """Cost and score of each technique at each label fraction; an untested run still counts for the cost.

    Args:
        results: of the comparison, whose intervals are printed; None: intervals are over seeds alone.
    """
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        costs, n = [record.cost for record in records], len(records)
        row = CostRow(
            technique=technique,
            column=column,
            score=MeanScore.of(printed_interval(comparison, technique, column.fraction, metric, results), n, metric),
            seconds=sum(training_seconds(record) for record in records) / n,
            pretraining_seconds=_pretraining_seconds(records),
            feature_seconds=encoding_seconds(records, among=comparison.records),
            images_per_second=sum(cost.images_per_second for cost in costs) / n,
            peak_memory_mib=sum(cost.peak_memory_mib for cost in costs) / n,
            energy_wh=_energy(costs),
            energy_of=", ".join(sorted({cost.energy_of for cost in costs} - {""})),
            parameters=max(cost.parameters for cost in costs),
            devices=", ".join(sorted({cost.device for cost in costs})),
            busy=any(cost.busy for cost in costs),
        )
        rows.append(row)
    return tuple(rows)


def cost_table(comparison: Comparison, metric: Metric, results: ResultTable | None = None) -> Table:
    """Time, throughput, memory, energy where it was measured, and parameters, beside the score."""
    costs = cost_rows(comparison, metric, results)
    measured = any(row.energy_wh is not None for row in costs)
    columns = [TECHNIQUE, LABELS, Column(f"Test {metric.label}"), Column("Time", kind="number")]
    columns += [Column("Images/s", kind="number"), Column("Peak memory", "MiB", kind="number")]
    columns += [Column("Energy", "Wh", kind="number")] if measured else []
    columns += [Column("Parameters", "millions", kind="number"), Column("Device")]
    caption = ["Mean cost of one run."]
    if any(row.pretraining_seconds is not None for row in costs):
        caption.append("Pre-training comes on top, once for all the runs that start from it.")
    if any(row.feature_seconds is not None for row in costs):
        caption.append("Computing stored features comes on top, once for all the runs that are fitted to them.")
    if any(row.busy for row in costs):
        caption.append(BUSY_NOTE)
    return Table(
        title="Cost",
        subject=comparison.title,
        columns=tuple(columns),
        rows=tuple(table_row(*_cells(row, energy=measured)) for row in costs),
        caption=" ".join([*caption, energy_note(costs)]),
    )


def _cells(row: CostRow, *, energy: bool) -> list[Cell | str]:
    details = [] if row.pretraining_seconds is None else [f"+ {duration(row.pretraining_seconds)} pre-training"]
    if row.feature_seconds is not None:
        details.append(f"+ {short_duration(row.feature_seconds)} features" if row.feature_seconds else STORED)
    time = Cell(short_duration(row.seconds), details=tuple(details), badge="busy machine" if row.busy else "")
    cells: list[Cell | str] = [technique_cell(row.technique), row.column.title, row.score.cell, time]
    cells += [f"{row.images_per_second:.0f}", f"{row.peak_memory_mib:.0f}"]
    if energy:
        cells.append(Cell() if row.energy_wh is None else Cell(f"{row.energy_wh:.3g}", details=(row.energy_of,)))
    return [*cells, f"{row.parameters / 1e6:.3g}", row.devices]


def energy_note(rows: Sequence[CostRow]) -> str:
    """What the energy figures include, or that energy was not measured, in one or two sentences."""
    devices = sorted({row.energy_of for row in rows if row.energy_wh is not None})
    if not devices:
        return NOT_MEASURED
    note = (
        f"Energy is read from hardware counters ({', '.join(devices)}) and includes everything that ran on them at the "
        "time, but not memory, fans or power-supply losses."
    )
    if any(row.energy_wh is None for row in rows):
        note += " A dash: not measured in every run."
    return note


def _energy(costs: Sequence[Cost]) -> float | None:
    known = [cost.energy_wh for cost in costs if cost.energy_wh is not None]
    return sum(known) / len(known) if len(known) == len(costs) else None


def _pretraining_seconds(records: Sequence[RunRecord]) -> float | None:
    """Mean duration in s of the pre-training runs that these runs start from, each counted once."""
    seconds = {started.config_hash: started.seconds for r in records if (started := r.pretraining) is not None}
    return sum(seconds.values()) / len(seconds) if seconds else None
