"""Records of simulated studies: techniques × label fractions × seeds × patients, with or without a planted winner.

    score = curve(n) + winner + patient + seed + technique·patient + technique·seed + noise

so that the difference of two techniques has standard deviations of √2 × the last three over seeds, patients and single
images.
"""

from dataclasses import dataclass

import numpy as np

from made_predictions import predictions_of
from made_records import record
from s4mi.maths.patient_scores import score_of_counts
from s4mi.maths.power import Spread
from s4mi.records import ImageScores, TaskKind
from s4mi.reporting.results.runs import ReportRun

NAMES = ("finetune", "frozen", "transfer", "dino", "cass", "lora")


@dataclass(frozen=True)
class SimulatedStudy:
    """What a study is made of; spreads are of one technique's own score.

    Attributes:
        one_test_set: whether all seeds have the same test patients.
    """

    techniques: int = 3
    fractions: tuple[float, ...] = (10.0, 50.0)
    seeds: int = 5
    patients: int = 60
    over_seeds: float = 0.006
    over_patients: float = 0.03
    single: float = 0.03
    one_test_set: bool = True
    task: TaskKind = "segmentation"

    @property
    def spread(self) -> Spread:
        """Of the difference of two techniques."""
        root = 2**0.5
        return Spread(root * self.over_seeds, root * self.over_patients, root * self.single)

    def runs(self, rng: np.random.Generator, *, winner: float = 0.0) -> list[ReportRun]:
        """The runs of one study; the first technique is better by `winner` at every label fraction."""
        seeds, patients = self.seeds, self.patients
        shape = (1 if self.one_test_set else seeds, patients)
        easy = rng.normal(0, 0.05, shape)
        luck = rng.normal(0, 0.01, seeds)
        runs = []
        for number in range(self.techniques):
            for fraction in self.fractions:
                level = 0.78 - 0.8 * (4.8 * fraction) ** -0.5 + (winner if number == 0 else 0.0)
                own = rng.normal(0, self.over_patients, shape)
                for seed in range(seeds):
                    at = 0 if self.one_test_set else seed
                    values = level + luck[seed] + rng.normal(0, self.over_seeds) + easy[at] + own[at]
                    values = values + rng.normal(0, self.single, patients)
                    runs.append(self._run(NAMES[number], fraction, seed, np.clip(values, 0, 1), rng))
        return runs

    def _run(self, method: str, fraction: float, seed: int, values: np.ndarray, rng: np.random.Generator) -> ReportRun:
        names = [f"{0 if self.one_test_set else seed}-{n}" for n in range(self.patients)]
        if self.task == "segmentation":
            one = record(float(values.mean()), method=method, fraction=fraction, seed=seed, task="segmentation")
            images = tuple(
                ImageScores.model_construct(
                    image=name, group=name, iou={"lesion": value}, dice={"lesion": value}, hd95={}, assd={}
                )
                for name, value in zip(names, values.tolist(), strict=True)
            )
            return ReportRun(one, (), "", method, images=images)
        truth = "".join("aabbc"[n % 5] for n in range(self.patients))
        wrong = {"a": "b", "b": "c", "c": "a"}
        given = "".join(
            t if right else wrong[t] for t, right in zip(truth, rng.random(self.patients) < values, strict=True)
        )
        made = predictions_of(truth, given, images=names, groups=names)
        counts = np.stack(
            [
                (~made.truth & ~made.decisions).sum(0), (~made.truth & made.decisions).sum(0),
                (made.truth & ~made.decisions).sum(0), (made.truth & made.decisions).sum(0),
            ], axis=-1,
        ).astype(float)  # fmt: skip
        score = float(score_of_counts("f1_macro", counts, multilabel=False))
        one = record(score, method=method, fraction=fraction, seed=seed, classes=("a", "b", "c"))
        return ReportRun(one, (), "", method, predictions=made)
