"""Run a study: train every planned run once, several at a time, and keep what is finished.

A run that fails is recorded and retried once no other run is ready; if it fails again, the runs that start from it are
given up too. A full disk ends the study, as nothing else could be written either. With a budget, seeds are left out
first, then label fractions, never a technique (see `order.py`); a run that does not fit waits until it does or nothing
else can start. It is then skipped, which is not a failure: a later call with a larger budget trains it.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from s4mi.config import PlannedRun, StudyConfig, plan_study
from s4mi.errors import require_extra
from s4mi.studies.devices import available_threads, check_devices, gpu_count
from s4mi.studies.events import EventHandler, RunOutcome
from s4mi.studies.lock import study_lock
from s4mi.studies.preflight import check_plan, too_few_labels
from s4mi.studies.run_id import RunIdentity, run_identities
from s4mi.studies.run_state import as_begun, check_study_format
from s4mi.studies.run_store import is_finished, run_locations
from s4mi.studies.runner import StudyRunner
from s4mi.studies.signals import StopRequest, sigterm_interrupts, stop_requests
from s4mi.studies.worker_pool import InProcessPool, ProcessPool, WorkerPool, check_importable, visible_gpus


def run_study(
    study: StudyConfig, out: Path, *, workers: int = 0, ray: str | None = None, on_event: EventHandler = lambda _: None
) -> list[RunOutcome]:
    """Train the unfinished runs of a study in the folder `out`; call it again to resume after an interruption.

    Args:
        workers: worker processes, which train a run each at a time and share the cores; 0: train one run after the
            other in this process, which a crash of a run ends. Worker processes are spawned, so a script needs
            `if __name__ == "__main__":`.
        ray: address of a Ray cluster that trains the runs, at most `workers` at a time, or as many as it has room for
            if that is 0; its hosts must share the folder `out`. None: train on this machine.
        on_event: called with each event as it happens.

    Raises:
        S4miError: another process is running a study in `out`, the disk is full, or the cluster cannot be reached;
            `out` has another format; an unfinished run does not fit its data set; or worker processes cannot import a
            method.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the active runs have written checkpoints.
    """
    plan = tuple(plan_study(as_begun(study, out), out.absolute()))
    if workers or ray is not None:
        check_devices(plan)
        check_importable(plan)
    identities = run_identities(plan)
    skipped = _check_unfinished(plan, out, identities, skip=study.unsupported == "skip")
    with study_lock(out):
        runner = StudyRunner(plan, out, on_event, identities=identities, budget=study.seconds)
        runner.load_state()
        runner.leave_out(skipped)
        if runner.done:
            pass  # without connecting to a cluster
        elif ray is not None:
            pool = _ray_pool(ray, out, runner, max_workers=workers)
            with stop_requests() as request:
                runner.run(pool, request, threads=1)
        elif workers:
            threads = max(1, available_threads() // workers)
            gpus = visible_gpus(gpu_count(), os.environ.get("CUDA_VISIBLE_DEVICES"))
            with stop_requests() as request:
                runner.run(ProcessPool(workers, threads, runner.on_progress, gpus), request, threads=threads)
        else:
            with sigterm_interrupts():
                runner.run(InProcessPool(runner.on_progress), StopRequest())
    return [runner.outcomes[planned.name] for planned in plan]


def _check_unfinished(
    plan: Sequence[PlannedRun], out: Path, identities: Mapping[str, RunIdentity], *, skip: bool
) -> dict[str, str]:
    """Check the unfinished runs against their data sets before anything is moved or trained.

    Args:
        skip: leave out runs whose label fraction leaves a class without labels, and return them with the reason.
    """
    check_study_format(out)
    locations = run_locations(plan, out, identities)
    finished = {location.planned.name for location in locations if is_finished(location)}
    unfinished = [planned for planned in plan if planned.name not in finished]
    if skip:
        return too_few_labels(unfinished)
    check_plan(unfinished)
    return {}


def _ray_pool(address: str, out: Path, runner: StudyRunner, *, max_workers: int) -> WorkerPool:
    require_extra("ray", extra="ray", purpose="--ray")
    from s4mi.studies.ray.pool import RayPool

    return RayPool(address, out, runner.on_progress, max_workers=max_workers)
