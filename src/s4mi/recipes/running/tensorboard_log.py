"""TensorBoard: scalars of every epoch in `<run>/tensorboard`; look at them with `tensorboard --logdir FOLDER`."""

from pathlib import Path
from typing import TYPE_CHECKING, final

from s4mi.recipes.running.flat_metrics import of_epoch, of_run
from s4mi.records import EpochRecord, PretrainingRecord, RunRecord

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FOLDER = "tensorboard"


@final
class TensorboardLog:
    """An event file for each time that training begins or goes on."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._writer: SummaryWriter | None = None
        self._last = 0

    def begin(self, first_epoch: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self.close(why=None)
        # What earlier files say of these epochs is not shown any more.
        purged = first_epoch if (self._run / FOLDER).exists() else None
        self._writer = SummaryWriter(str(self._run / FOLDER), purge_step=purged)

    def epoch(self, record: EpochRecord) -> None:
        self._last = record.epoch
        self._add(of_epoch(record))

    def end(self, record: RunRecord | PretrainingRecord) -> None:
        self._last = record.epochs
        self._add(of_run(record))

    def close(self, *, why: type[BaseException] | None) -> None:
        del why
        if self._writer is not None:
            self._writer.close()

    def _add(self, numbers: dict[str, float]) -> None:
        assert self._writer is not None
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, self._last)
        self._writer.flush()
