"""Tables of patients: their mean scores per technique, and the worst of them by name."""

from collections.abc import Iterator

from s4mi.formatting import plural
from s4mi.reporting.results.few import few_details, few_explained
from s4mi.reporting.results.patients import PatientsSection
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, TECHNIQUE, technique_cell


def patient_table(section: PatientsSection, *, subject: str) -> Table | None:
    """A row per technique and label fraction; None where patients are not scored."""
    if not section.rows:
        return None
    numbers = ("Median", "10th percentile", "Worst", "Images")
    rows = []
    for row in section.rows:
        ends = () if row.mean.low is None or row.mean.high is None else (f"{row.mean.low:.3f} to {row.mean.high:.3f}",)
        mean = Cell(f"{row.mean.mean:.3f}", details=(*ends, f"n = {row.mean.n} patients", *few_details(row.mean)))
        values = (f"{value:.3f}" for value in (row.median, row.low, row.worst))
        rows.append(table_row(technique_cell(row.technique), row.column.title, mean, *values, f"{row.images}"))
    table = Table(
        title="Scores per patient",
        subject=subject,
        columns=(TECHNIQUE, LABELS, Column("Mean", "95 % interval"), *(Column(n, kind="number") for n in numbers)),
        rows=tuple(rows),
        caption=f"Test {section.measure} per patient: mean over the patient's images and the seeds that tested them. "
        "Every patient counts once; the interval is over patients.",
    )
    return few_explained(table)


def worst_patient_tables(section: PatientsSection, *, subject: str) -> Iterator[Table]:
    """The worst patients of the technique that validation selected, at each label fraction."""
    for listed in section.worst:
        measures = (Column(f"{name[:1].upper()}{name[1:]}", kind="number") for name in section.measures)
        yield Table(
            title=f"The {len(listed.patients)} worst patients of {listed.technique.label} at {listed.column.in_words}",
            subject=subject,
            columns=(Column("Patient"), Column("Test images", kind="number"), *measures),
            rows=tuple(
                table_row(one.patient, f"{one.images}", *(f"{value:.3f}" for value in one.values))
                for one in listed.patients
            ),
            caption=f"Worst first; technique selected on validation. Means over {plural(listed.seeds, 'seed')}.",
        )
