"""Start a run from a pre-training run: check that it is not contaminated, and record where the weights come from."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from s4mi.config import RunConfig
from s4mi.config.first_look import look_at_start
from s4mi.contract import PretrainedConfig
from s4mi.data.row import PARTS
from s4mi.data.spec import read_spec
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.nets.initial_weights import encoder_file
from s4mi.records import Part, Pretraining, read_pretraining, write_text_atomically
from s4mi.records.checkpoint_files import PRETRAINING
from s4mi.training.prepare import Prepared

SEEN = "seen.txt"
"""File with the hash of each image file that a pre-training run has trained on, one per line."""


def write_seen(run: Path, prepared: Prepared) -> None:
    """Record which images a pre-training run trains on."""
    digests = sorted({str(prepared.cache.digests[row]) for row in prepared.split.train})
    write_text_atomically(run / SEEN, "".join(f"{digest}\n" for digest in digests))


def check_pretrained_start(config: RunConfig, run: Path, *, resumed: bool) -> None:
    """Check that the pre-training run exists and is finished, before an image is opened; see `read_pretrained_start`.

    Raises:
        S4miError: it is not; the message names the setting.
    """
    method = config.method
    if not isinstance(method, PretrainedConfig) or method.pretrained is None:
        return
    if resumed and (run / PRETRAINING).exists():
        return
    look_at_start(method.pretrained)
    try:
        read_pretraining(method.pretrained)
    except S4miError as error:
        raise S4miError(f"method.pretrained: {error}") from error


def read_pretrained_start(config: RunConfig, prepared: Prepared, run: Path, *, resumed: bool) -> Pretraining | None:
    """Return the pre-training that the run in the folder `run` starts from, or None.

    A `resumed` run has its weights already and no longer needs the folder of the pre-training run.

    Raises:
        S4miError: `method.pretrained` is not a finished pre-training run, has other networks, or has trained on
            validation or test images of this run (unless `data.allow_leakage` is set).
    """
    method = config.method
    if not isinstance(method, PretrainedConfig) or method.pretrained is None:
        return None
    if resumed and (run / PRETRAINING).exists():
        return read_start(run)
    record = read_pretraining(method.pretrained)
    weights = encoder_file(method.pretrained, method.backbone)
    contaminated = _contaminated(method.pretrained, prepared)
    if contaminated and not config.data.allow_leakage:
        raise S4miError(_contamination_message(method.pretrained, prepared, contaminated))
    return Pretraining(
        method=record.method,
        config_hash=record.config_hash,
        encoder=method.backbone,
        weights_hash=hashlib.blake2b(weights.read_bytes(), digest_size=8).hexdigest(),
        epochs=record.epochs,
        images=record.images,
        seconds=record.cost.seconds,
        contaminated={part: len(rows) for part, rows in contaminated.items()},
    )


def write_pretraining(run: Path, pretraining: Pretraining | None) -> None:
    """Record the pre-training that a run starts from, if any."""
    if pretraining is not None:
        write_text_atomically(run / PRETRAINING, pretraining.model_dump_json(indent=2) + "\n")


def read_start(run: Path) -> Pretraining:
    """Read what a run has kept of the pre-training from which it started.

    Raises:
        S4miError: the file is damaged.
    """
    path = run / PRETRAINING
    try:
        return Pretraining.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise S4miError(f"{path}: damaged; train the run again in another folder") from error


def _contaminated(run: Path, prepared: Prepared) -> dict[Part, list[int]]:
    """Return the validation and test rows of this run that the pre-training run has trained on, by part.

    Rows that are held out of the run's own labels may be among them: pre-training reads no label, and the test part is
    the same.
    """
    try:
        seen = set((run / SEEN).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise S4miError(f"{run / SEEN}: cannot be read ({error}); pre-train again") from error
    found = {part: [row for row in prepared.split.rows(part) if prepared.cache.digests[row] in seen] for part in PARTS}
    own: tuple[Part, ...] = ("train", "val") if prepared.counted else ("train",)
    return {part: rows for part, rows in found.items() if part not in own and rows}


def _contamination_message(run: Path, prepared: Prepared, contaminated: dict[Part, list[int]]) -> str:
    part, rows = next(iter(contaminated.items()))
    kind = prepared.task.kind
    hint = "use the same split.seed and task in both runs"
    spec, _ = read_spec(run)
    if spec is not None and kind not in spec.tasks:  # it had no such part, and trained on every image
        hint = (
            f"its data set had no annotations for {kind} yet, so pre-train again on this version, with the same "
            "split.seed and task"
        )
    return (
        f"{run}: was pre-trained on {plural(len(rows), 'image')} of this run's {part} part, such as "
        f"{prepared.manifest.rows[rows[0]].id!r}; {hint}, or continue anyway with data.allow_leakage=true"
    )
