"""Where a run's weights come from, when they come from a pre-training run: checked, and put on record."""

import hashlib
from pathlib import Path

from s4mi.config import RunConfig
from s4mi.contract import PretrainedConfig
from s4mi.data.manifest import PARTS
from s4mi.data.spec import read_spec
from s4mi.errors import S4miError
from s4mi.nets.weights import encoder_file
from s4mi.records import Part, Pretraining, read_pretraining, write_text_atomically
from s4mi.training.prepare import Prepared

PRETRAINING = "pretraining.json"
SEEN = "seen.txt"
"""A line an image that a pre-training run has learnt from: the hash of the file's bytes."""


def write_seen(run: Path, prepared: Prepared) -> None:
    """Put on record which images a pre-training run learns from."""
    digests = sorted({str(prepared.cache.digests[row]) for row in prepared.split.train})
    write_text_atomically(run / SEEN, "".join(f"{digest}\n" for digest in digests))


def pretraining_of(config: RunConfig, prepared: Prepared, run: Path, *, resumed: bool) -> Pretraining | None:
    """The pre-training run that the run in the folder `run` starts from, or None if from none.

    A run that is `resumed` has its weights already, knows where from, and may go on without that folder.

    Raises:
        S4miError: it is no finished pre-training run, is one of other networks, or has learnt from images that this run
            validates or tests with, which `data.allow_leakage` allows.
    """
    method = config.method
    if not isinstance(method, PretrainedConfig) or method.pretrained is None:
        return None
    if resumed and (run / PRETRAINING).exists():
        return Pretraining.model_validate_json((run / PRETRAINING).read_text(encoding="utf-8"))
    record = read_pretraining(method.pretrained)
    weights = encoder_file(method.pretrained, method.backbone)
    spoilt = _spoilt(method.pretrained, prepared)
    if spoilt and not config.data.allow_leakage:
        raise S4miError(_refusal(method.pretrained, prepared, spoilt))
    return Pretraining(
        method=record.method,
        config_hash=record.config_hash,
        encoder=method.backbone,
        weights_hash=hashlib.blake2b(weights.read_bytes(), digest_size=8).hexdigest(),
        epochs=record.epochs,
        images=record.images,
        seconds=record.cost.seconds,
        contaminated={part: len(rows) for part, rows in spoilt.items()},
    )


def write_pretraining(run: Path, pretraining: Pretraining | None) -> None:
    """Put on record which pre-training run a run starts from, if from one."""
    if pretraining is not None:
        write_text_atomically(run / PRETRAINING, pretraining.model_dump_json(indent=2) + "\n")


def _spoilt(run: Path, prepared: Prepared) -> dict[Part, list[int]]:
    """The rows that this run validates or tests with and that the pre-training run has learnt from, by part."""
    try:
        seen = set((run / SEEN).read_text(encoding="utf-8").split())
    except OSError as error:
        raise S4miError(f"{run / SEEN}: cannot be read ({error.strerror}); pre-train again") from error
    found = {part: [row for row in prepared.split.rows(part) if prepared.cache.digests[row] in seen] for part in PARTS}
    return {part: rows for part, rows in found.items() if part != "train" and rows}


def _refusal(run: Path, prepared: Prepared, spoilt: dict[Part, list[int]]) -> str:
    part, rows = next(iter(spoilt.items()))
    kind = prepared.task.kind
    cure = "give both runs the same split.seed and task"
    spec, _ = read_spec(run)
    if spec is not None and kind not in spec.tasks:  # then it knew of no such part, and took every image
        cure = (
            f"its data set had no annotation for {kind} then, so pre-train once more on this version, with the same "
            "split.seed and task"
        )
    return (
        f"{run}: has learnt from {len(rows)} image{'' if len(rows) == 1 else 's'} of this run's {part} part, such as "
        f"{prepared.manifest.rows[rows[0]].id!r}; {cure}, or go on all the same with data.allow_leakage=true"
    )
