"""What the runs of a comparison cost, beside what they score."""

from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.records import Cost, RunRecord
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.scores import Metric
from s4mi.report.results.tables import Cell, Column, columns_of

NOT_MEASURED = "Energy was not measured: no counter of processors or GPUs could be read where these runs were made."


@dataclass(frozen=True)
class CostRow:
    """What a run of one cell cost on the mean over its seeds, beside its score. Memory in MiB, energy in watt-hours.

    `pretraining_seconds` come on top, once for all the runs that start from one pre-training; None where none does.
    `energy_wh` is None unless it was measured for every run, `energy_of` says of what.
    """

    technique: Technique
    column: Column
    score: Cell
    seconds: float
    pretraining_seconds: float | None
    images_per_second: float
    peak_memory_mib: float
    energy_wh: float | None
    energy_of: str
    parameters: int
    devices: str


def cost_rows(comparison: Comparison, metric: Metric) -> tuple[CostRow, ...]:
    """Cost beside score for every cell that has runs; a finished run without a test score still cost its time."""
    rows = []
    for technique in comparison.techniques:
        for column in columns_of(comparison):
            if not (records := comparison.at(technique, column.fraction)):
                continue
            costs, n = [record.cost for record in records], len(records)
            interval = comparison.interval(technique, column.fraction, metric)
            row = CostRow(
                technique=technique,
                column=column,
                score=Cell.of(interval, n, metric),
                seconds=sum(cost.seconds for cost in costs) / n,
                pretraining_seconds=_pretraining_seconds(records),
                images_per_second=sum(cost.images_per_second for cost in costs) / n,
                peak_memory_mib=sum(cost.peak_memory_mib for cost in costs) / n,
                energy_wh=_energy(costs),
                energy_of=", ".join(sorted({cost.energy_of for cost in costs} - {""})),
                parameters=max(cost.parameters for cost in costs),
                devices=", ".join(sorted({cost.device for cost in costs})),
            )
            rows.append(row)
    return tuple(rows)


def energy_note(rows: Sequence[CostRow]) -> str:
    """What the energy stands for, or that it was not measured, in one or two sentences."""
    of = sorted({row.energy_of for row in rows if row.energy_wh is not None})
    if not of:
        return NOT_MEASURED
    told = (
        f"Energy is what the machine’s own counters saw ({', '.join(of)}), with all else that ran there at the time; "
        "memory, fans and the power supply are not in it."
    )
    if any(row.energy_wh is None for row in rows):
        told += " A dash is where it was not measured for every run."
    return told


def _energy(costs: Sequence[Cost]) -> float | None:
    known = [cost.energy_wh for cost in costs if cost.energy_wh is not None]
    return sum(known) / len(known) if len(known) == len(costs) else None


def _pretraining_seconds(records: Sequence[RunRecord]) -> float | None:
    """Mean over the pre-training runs that these started from, each counted once."""
    seconds = {started.config_hash: started.seconds for r in records if (started := r.pretraining) is not None}
    return sum(seconds.values()) / len(seconds) if seconds else None
