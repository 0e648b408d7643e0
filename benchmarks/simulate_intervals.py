"""Simulate how often the intervals of a report hold the true value, and write docs/explanation/intervals.md.

    python benchmarks/simulate_intervals.py [--times N] [--only SECTION …] [--print]

Each cell draws patients, seeds or curves N times (curves a quarter of it), calls the function that a report calls, and
counts how often the interval holds the value that the drawing is known to have. Seeds are fixed. The table of a section
stands between the marks `<!-- NAME -->` and `<!-- /NAME -->`; the text around it is kept.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.crossed import crossed_mean, jackknife
from s4mi.maths.crossed_draws import crossed_draws
from s4mi.maths.label_forecast import LabelForecast, Needed, forecast
from s4mi.maths.paired import paired_patients
from s4mi.maths.patient_scores import PairedPredictions, paired_patient_scores, patient_score, score_of_counts
from s4mi.maths.stats import Interval, mean_interval
from simulated_crossed import clinic_scores, drops, drops_of_these, mean_scores, members, pooled_iou
from simulated_maps import above_centre, above_others
from simulated_rest import DISTANCES, distances, new_annotations, strategies
from simulated_worlds import CLINICS, CURVES, LABELS, SCORES, Clinic, Curve, Draw, labels_for, true_mean

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "intervals.md"
TIMES = 1000
DRAWS = 600
"""Draws of one interval: fewer than a report takes, which makes ends less exact and coverage a little lower."""
LEAST, MOST = 0.93, 0.97


@dataclass(frozen=True)
class Cell:
    """Coverage at one size.

    Attributes:
        covered: share of the intervals that hold the true value. few: whether most of them say "few …".
        answered: share of the cases that have an interval. times: cases drawn.
    """

    covered: float
    few: bool
    answered: float
    times: int

    @property
    def text(self) -> str:
        covered = f"{100 * self.covered:.1f}" + (" few" if self.few else "")
        return covered if self.answered == 1 else f"{covered} ({100 * self.answered:.0f} %)"


@dataclass(frozen=True)
class Line:
    """One row of a table: a situation at several sizes."""

    section: str
    situation: str
    sizes: tuple[int, ...]
    cell: Callable[[int, int], Cell]


def counted(intervals: Sequence[Interval | None], truth: float) -> Cell:
    """Coverage of the intervals that there are."""
    known = [one for one in intervals if one is not None and one.low is not None and one.high is not None]
    held = sum((one.low or 0.0) - 1e-9 <= truth <= (one.high or 0.0) + 1e-9 for one in known)
    few = sum(bool(one.few) for one in known) > len(known) / 2
    return Cell(held / max(1, len(known)), few, len(known) / len(intervals), len(known))


def of_errors(make: Callable[[int, int], Sequence[Interval]], size: int, times: int) -> Cell:
    """Coverage of intervals of errors, which are to hold 0."""
    return counted(make(size, times), 0.0)


def over_patients(draw: Draw, size: int, times: int) -> Cell:
    rng, names = np.random.default_rng(size), [f"p{n}" for n in range(size)]
    made = (patient_interval(draw(rng, size).tolist(), names, rng=rng, draws=DRAWS) for _ in range(times))
    return counted(list(made), true_mean(draw))


def clustered(draw: Draw, size: int, times: int) -> Cell:
    """Patients of 1 to 4 images, alike within ± 0.05."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        images = rng.integers(1, 5, size)
        names = np.repeat([f"p{n}" for n in range(size)], images).tolist()
        values = np.repeat(draw(rng, size), images) + rng.uniform(-0.05, 0.05, int(images.sum()))
        values = np.where(values < 0, -values, np.where(values > 1, 2 - values, values))
        made.append(patient_interval(values.tolist(), names, rng=rng, draws=DRAWS))
    far = draw(np.random.default_rng(98), 2_000_000) + np.random.default_rng(97).uniform(-0.05, 0.05, 2_000_000)
    return counted(made, float(np.where(far < 0, -far, np.where(far > 1, 2 - far, far)).mean()))


def clinic_score(clinic: Clinic, name: str, size: int, times: int) -> Cell:
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        truth, (given, *_), patient = clinic.draw(rng, size)
        names = [f"p{n}" for n in patient]
        made.append(patient_score(name, truth, given, names, multilabel=False, rng=rng, draws=DRAWS))
    return counted(made, _true_scores(clinic, name)[0])


def clinic_difference(clinic: Clinic, name: str, size: int, times: int) -> Cell:
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        truth, (one, other), patient = clinic.draw(rng, size)
        pair = PairedPredictions(truth, one, other, [f"p{n}" for n in patient])
        made.append(paired_patient_scores(name, [pair], multilabel=False, rng=rng, draws=DRAWS // 2).difference)
    first, second = _true_scores(clinic, name)
    return counted(made, first - second)


def _true_scores(clinic: Clinic, name: str) -> list[float]:
    truth, given, _ = clinic.draw(np.random.default_rng(96), 400_000)
    scores = []
    for one in given:
        outcome = np.stack([(~truth & ~one).sum(0), (~truth & one).sum(0), (truth & ~one).sum(0), (truth & one).sum(0)])
        scores.append(float(score_of_counts(name, outcome.T.astype(np.float64), multilabel=False)))
    return scores


def paired_scores(draw: Draw, size: int, times: int) -> Cell:
    """Two networks of independent scores, the first better by 0.03."""
    rng, names = np.random.default_rng(size), [f"p{n}" for n in range(size)]
    made = []
    for _ in range(times):
        differences = 0.03 + draw(rng, size) - draw(rng, size)
        made.append(paired_patients(differences.tolist(), names, rng=rng, draws=4 * DRAWS).difference)
    return counted(made, 0.03)


def over_seeds(draw: Draw, size: int, times: int) -> Cell:
    rng = np.random.default_rng(size)
    made = [mean_interval(draw(rng, size).tolist(), limits=(0.0, 1.0)) for _ in range(times)]
    return counted(made, true_mean(draw))


def seeds_and_patients(
    patients: int, spreads: tuple[float, float, float], size: int, times: int, *, counts_patients: bool = True
) -> Cell:
    """Difference of two techniques, 0.03 on average, that varies with seeds, patients and both."""
    rng, made = np.random.default_rng(size), []
    seeds, shared, single = spreads
    for _ in range(times):
        scores = 0.03 + rng.normal(0, seeds, (size, 1)) + rng.normal(0, shared, patients)
        scores = scores + rng.normal(0, single, (size, patients))
        means, total = scores.mean(axis=1), scores.sum(axis=1)
        influences = []
        if counts_patients:
            rest = (total[:, None] - scores) / (patients - 1)
            influences = [jackknife({f"p{n}": value for n, value in enumerate(row)}) for row in rest.tolist()]
        made.append(crossed_mean(means.tolist(), influences).interval())
    return counted(made, 0.03)


def labels_needed(curve: Curve, at: float, size: int, times: int) -> Cell:
    """Labels for the score that the curve has at `at` labels: a share of the false answers and of the answers."""
    rng, target = np.random.default_rng(size), float(curve(np.array([at]))[0])
    made = [_interval(_curve(curve, size, rng).needed(target)) for _ in range(times // 4)]
    return counted(made, labels_for(curve, target))


def would_bring(curve: Curve, size: int, times: int) -> Cell:
    """Gain of 400 labels over the 200 that are the most tested."""
    rng, ends = np.random.default_rng(size), curve(np.array([200.0, 400.0]))
    return counted([_curve(curve, size, rng).gain_at(400.0) for _ in range(times // 4)], float(ends[1] - ends[0]))


def _curve(curve: Curve, size: int, rng: np.random.Generator) -> LabelForecast:
    """The forecast of `size` seeds at each number of labels."""
    spread = 0.014 * (LABELS[0] / LABELS[:, None]) ** 0.25
    scores = curve(LABELS)[:, None] + rng.normal(0, 0.014, size) + rng.normal(0, 1, (len(LABELS), size)) * spread
    cells = [dict(enumerate(row)) for row in scores.tolist()]
    drawn = crossed_draws(cells, [{} for _ in cells], rng=rng, draws=DRAWS)
    return forecast(
        LABELS.tolist(), scores.mean(axis=1), drawn, weights=np.full(len(LABELS), float(size)), seeds=size,
        ceiling=1.0, floor=0.2,
    )  # fmt: skip


def _interval(needed: Needed) -> Interval | None:
    if needed.low is None or needed.high is None:
        return None
    return Interval(needed.labels, needed.low, needed.high, 0)


def lines() -> Iterator[Line]:
    """Every row of every table."""
    few = (2, 3, 5, 10, 20, 40, 50, 100)
    for name, draw in SCORES.items():
        yield Line("patients", name, few, partial(over_patients, draw))
    yield Line(
        "patients", "Beta(8, 2), 10 % misses, 1–4 images", few, partial(clustered, SCORES["Beta(8, 2), 10 % misses"])
    )
    for name, clinic in CLINICS.items():
        for score, label in (
            ("f1_macro", "macro F1"),
            ("balanced_accuracy", "balanced accuracy"),
            ("recall_micro", "accuracy"),
        ):
            if score == "f1_macro" or name.startswith("a class"):
                yield Line(
                    "classification", f"{label}, {name}", (5, 10, 20, 50, 100), partial(clinic_score, clinic, score)
                )
    for name in ("Beta(6, 2)", "Beta(8, 2), 10 % misses", "0.90 ± 0.03, 10 % misses"):
        yield Line("pairs", f"mean per patient, {name}", few, partial(paired_scores, SCORES[name]))
    for name, clinic in CLINICS.items():
        yield Line(
            "pairs", f"macro F1, {name}", (5, 8, 10, 20, 50, 100), partial(clinic_difference, clinic, "f1_macro")
        )
    for name, seed_draw in SEEDS.items():
        yield Line("seeds", name, (2, 3, 5, 10, 20), partial(over_seeds, seed_draw))
    yield Line("failures", FAILS, (2, 3, 5, 10, 20), partial(over_seeds, SCORES["0.90 ± 0.03, 10 % misses"]))
    for patients in (8, 30, 100):
        for name, spreads in SPREADS.items():
            situation = f"{patients} patients, {name}"
            yield Line(
                "seeds-and-patients", situation, (2, 3, 5, 10, 20), partial(seeds_and_patients, patients, spreads)
            )
    plain = partial(seeds_and_patients, 100, SPREADS["both"], counts_patients=False)
    yield Line("seeds-alone", "100 patients, both", (2, 3, 5, 10, 20), plain)
    yield from _rest(few)
    for name, curve in CURVES.items():
        for at in (60.0, 150.0, 400.0):
            yield Line("labels", f"{name}, at {at:.0f}", (3, 5, 10, 20), partial(labels_needed, curve, at))
    for name, curve in CURVES.items():
        yield Line("would-bring", name, (3, 5, 10, 20), partial(would_bring, curve))


def _rest(few: tuple[int, ...]) -> Iterator[Line]:
    """Scores over seeds and patients, external sets, annotations, simulated choice, distances, saliency maps."""
    seeds = (2, 3, 5, 10)
    for patients in (8, 20, 50, 100):
        for name in ("Beta(6, 2)", "0.90 ± 0.03, 10 % misses", "right or wrong, 90 % right"):
            score = partial(of_errors, partial(mean_scores, SCORES[name], patients))
            yield Line("scores", f"{patients} patients, {name}", seeds, score)
        for name in ("a class one patient in ten has", "equal classes"):
            score = partial(of_errors, partial(clinic_scores, CLINICS[name], "f1_macro", patients))
            yield Line("scores", f"{patients} patients, macro F1, {name}", seeds, score)
    for name, make in (
        ("drop between these two test sets, single results unknown", drops_of_these),
        ("strategy less random choice, mean of 8 rounds", strategies),
        ("member of an ensemble", members),
    ):
        yield Line("seeds-of-tests", name, seeds, partial(of_errors, make))
    for here, there in ((60, 30), (100, 100), (20, 200)):
        drop = partial(of_errors, partial(drops, here, there))
        yield Line("drops", f"{here} internal, {there} external patients", seeds, drop)
    for name, rare in (("gains exponential", False), (RARE, True)):
        for patients in (8, 20, 30, 100):
            gain = partial(of_errors, partial(new_annotations, patients, rare))
            section = "failures-of-few" if rare and patients < UNSEEN else "annotations"
            yield Line(section, f"{patients} patients, {name}", seeds, gain)
    for patients in (30, 100):
        for slope, name in ((0.0, "all sizes alike"), (0.5, "large lesions easier")):
            pooled = partial(of_errors, partial(pooled_iou, patients, slope))
            yield Line("pooled", f"{patients} patients, {name}", seeds, pooled)
    for name, draw in DISTANCES.items():
        distance = partial(of_errors, partial(distances, draw))
        yield Line("distances", name, few, distance)
    for patients in (20, 50, 100):
        for name, draw in DISTANCES.items():
            distance = partial(of_errors, partial(mean_scores, draw, patients, bounded=False))
            yield Line("distances-of-seeds", f"{patients} patients, {name}", seeds, distance)
    images = (2, 3, 5, 10, 20, 50, 100)
    for name, leads in (
        ("hits, less those of a centre blob", partial(above_centre, True)),
        ("energy inside, less that of a centre blob", partial(above_centre, False)),
        ("energy inside, less that of other images' maps", above_others),
    ):
        yield Line("maps", name, images, partial(of_errors, leads))


SEEDS: dict[str, Draw] = {
    "normal": lambda rng, n: np.clip(rng.normal(0.8, 0.03, n), 0, 1),
    "skewed, Beta(50, 12)": lambda rng, n: rng.beta(50, 12, n),
    "far apart and skewed, Beta(6, 2)": SCORES["Beta(6, 2)"],
    "close to 1, Beta(40, 2)": lambda rng, n: rng.beta(40, 2, n),
}
FAILS = "one training in ten fails"
RARE = "one in ten gains 0.3"
UNSEEN = 30
"""Below this number of patients, such a gain is often not seen: not in 12 % of cases with 20."""
SPREADS = {
    "seeds alone": (0.02, 0.0, 0.1),
    "both": (0.02, 0.1, 0.1),
    "patients alone": (0.0, 0.2, 0.1),
}
"""Standard deviations over seeds, patients and in single patients of single runs."""
HEADS = {
    "patients": "patients", "classification": "patients", "pairs": "patients", "seeds": "seeds",
    "seeds-and-patients": "seeds", "seeds-alone": "seeds", "labels": "seeds", "failures": "seeds", "scores": "seeds",
    "seeds-of-tests": "seeds", "drops": "seeds", "annotations": "seeds", "failures-of-few": "seeds",
    "pooled": "seeds", "would-bring": "seeds", "distances": "patients", "distances-of-seeds": "seeds", "maps": "images",
}  # fmt: skip


OF_CURVES = ("labels", "would-bring")
"""Sections of learning curves, which are refused where they do not fit."""
NOT_PROMISED = ("seeds-alone", "failures", "failures-of-few")
"""What was tested before, and what no sample shows."""


def simulated(number: int, size: int, times: int) -> Cell:
    """One cell, by the number of its line; for processes."""
    return list(lines())[number].cell(size, times)


def holds(section: str, cell: Cell, *, errors: float = 2.5) -> bool:
    """Whether a cell keeps what the page promises, up to the error of the simulation.

    Labels needed, and what more would bring, promise that at most 7 % of all studies get an interval that does not
    hold; the others promise their coverage.
    """
    if section in NOT_PROMISED or not cell.times:
        return True
    covered, low, high = cell.covered, LEAST, MOST
    if section in OF_CURVES:
        covered, high = 1 - cell.answered * (1 - cell.covered), 1.0
    if cell.few:
        high = 1.0
    times = cell.times / max(cell.answered, 1e-9) if section in OF_CURVES else cell.times
    least, most = (
        share + sign * errors * (share * (1 - share) / times) ** 0.5 for share, sign in ((low, -1), (high, 1))
    )
    return bool(least <= covered <= most)


def tables(times: int, only: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Markdown of each section, and the cells that break its promise."""
    chosen = [(number, line) for number, line in enumerate(lines()) if not only or line.section in only]
    jobs = [(number, size) for number, line in chosen for size in line.sizes]
    with ProcessPoolExecutor(max_workers=2) as pool:
        futures = {job: pool.submit(simulated, *job, times) for job in jobs}
        cells = {job: future.result() for job, future in futures.items()}
    texts: dict[str, str] = {}
    broken = []
    for section in dict.fromkeys(line.section for _, line in chosen):
        rows = [(number, line) for number, line in chosen if line.section == section]
        sizes = sorted({size for _, line in rows for size in line.sizes})
        table = [f"| {HEADS[section]} | {' | '.join(map(str, sizes))} |", "|---" * (len(sizes) + 1) + "|"]
        for number, line in rows:
            shown = [cells[number, size].text if (number, size) in cells else "" for size in sizes]
            table.append(f"| {line.situation} | {' | '.join(shown)} |")
            broken += [
                f"{section}, {line.situation}, {size}: {cells[number, size].text}"
                for size in line.sizes if not holds(section, cells[number, size])
            ]  # fmt: skip
        texts[section] = "\n".join(table)
    return texts, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--only", nargs="*", default=[], choices=list(HEADS))
    parser.add_argument("--print", action="store_true", help="print the tables and write no page")
    options = parser.parse_args()
    texts, broken = tables(options.times, options.only)
    page = PAGE.read_text(encoding="utf-8")
    for section, text in texts.items():
        if options.print:
            print(f"{section}\n{text}\n")
        page = re.sub(
            rf"(<!-- {section} -->\n).*?(<!-- /{section} -->)", rf"\g<1>\n{text}\n\n\g<2>", page, flags=re.DOTALL
        )
    if not options.print:
        PAGE.write_text(page, encoding="utf-8")
    for line in broken:
        print(f"does not hold: {line}")


if __name__ == "__main__":
    main()
