"""`s4mi data erase`: remove a patient from a data set and from what was made of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.console import print_facts, print_line

if TYPE_CHECKING:
    from s4mi.recipes.erase import Erasure


def erase(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="Data set folder.")],
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="Patient, as in the column group.")],
    runs: Annotated[
        list[Path] | None,
        typer.Option("--runs", metavar="DIR", help="Folder with runs of this data set, at any depth; repeatable."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option("--cache", metavar="DIR", help="Folder of the caches.  [default: that of runs]")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed; without it, only list.")] = False,
) -> None:
    """Remove a patient from a data set, its versions, caches and the lists of runs; say which runs have seen them."""
    from s4mi.api.erasures import erase as erase_patient
    from s4mi.data.erased import ERASED_NAME
    from s4mi.formatting import plural
    from s4mi.recipes.erase import SCORED_ONLY

    found = erase_patient(dataset, patient, runs=runs or (), cache=cache, confirmed=yes)
    print_line(f"{'removed' if found.done else 'would remove'} of patient {patient}:", style="bold")
    print_facts(
        ("images", f"{plural(len(found.plan.ids), 'row')} of the data set, in all its versions"),
        ("files", plural(len(found.plan.files), "file")),
        ("decode caches", plural(len(found.caches), "cache") if found.caches else ""),
        ("features", "all that are stored, as nobody can tell whose they are" if found.features else ""),
        ("lists of runs", plural(len(found.plan.runs), "run") if found.plan.runs else ""),
        ("suggestions", ", ".join(map(str, found.lists))),
        ("pictures", ", ".join(map(str, found.pictures))),
    )
    print_line(
        f"{'kept' if found.done else 'would keep'} of each image, without id, patient or file: its place in the order "
        f"of random splits, classes and mask size ({ERASED_NAME}), so that nobody else changes between training, "
        "validation and test"
    )
    if found.plan.outside:
        print_line(f"left, as they are outside the data set folder: {', '.join(found.plan.outside)}", style="yellow")
    for run, parts in found.plan.runs:
        if {*parts} <= SCORED_ONLY:
            print_line(f"{run}: was scored on the patient ({', '.join(parts)}); its weights have not seen them")
        else:
            print_line(f"{run}: has seen the patient ({', '.join(parts)}); its weights cannot forget, train it again")
    if line := _retrained(found, searched=bool(found.plan.roots)):
        print_line(line, style="yellow")
    if found.pictures and found.done:
        print_line("write reports again with: s4mi report")
    if not found.plan.roots:
        print_line("no runs were searched; say where models are that may have seen the patient, with: --runs DIR")
    print_line("not searched: predictions, exported annotations, and copies that you made")
    if not found.done:
        print_line("remove it with: --yes", style="cyan")


def _retrained(found: "Erasure", *, searched: bool) -> str:
    """Say which runs no longer fit the data set, and what a study does with them; empty if none was found."""
    from s4mi.formatting import plural
    from s4mi.records import STUDY_RUN_NAME, SUPERSEDED

    count = sum((run / STUDY_RUN_NAME).is_file() for run in found.outdated)
    if not count:
        return (
            ""
            if searched
            else (
                "finished runs of studies on this data set no longer fit it once the patient is erased: s4mi study run "
                f"sets them aside in {SUPERSEDED}/ and trains them again"
            )
        )
    them = "them" if count > 1 else "it"
    fit = ("no longer fit" if count > 1 else "no longer fits") if found.done else "will no longer fit"
    return (
        f"{plural(count, 'finished run')} of studies {fit} the data "
        f"set, from which the patient {'was' if found.done else 'is'} erased: s4mi study run sets "
        f"{them} aside in {SUPERSEDED}/ and trains {them} again"
    )
