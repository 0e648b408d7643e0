import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from s4mi.data.parallel import MAX_PENDING, end_processes, in_parallel, in_threads


def doubled(number: int) -> int:
    return 2 * number


def process(_: int) -> int:
    return os.getpid()


def fail_at(number: int, *, bad: int) -> int:
    if number == bad:
        raise ValueError("bad luck")
    return number


def touched(number: int, *, folder: Path) -> int:
    (folder / str(number)).touch()
    time.sleep(0.005)
    return number


@pytest.mark.parametrize("thread_limit", [1000, 1])
def test_results_come_in_order_with_progress(thread_limit: int) -> None:
    steps: list[tuple[int, int]] = []
    results = list(
        in_parallel(doubled, range(100), thread_limit=thread_limit, progress=lambda done, of: steps.append((done, of)))
    )
    assert results == [2 * number for number in range(100)]
    assert steps == [(number, 100) for number in range(1, 101)]


def test_many_items_are_processed_in_other_processes_and_few_do_not() -> None:
    assert set(in_parallel(process, range(20))) == {os.getpid()}
    assert os.getpid() not in set(in_parallel(process, range(20), thread_limit=1))


@pytest.mark.parametrize("thread_limit", [1000, 1])
def test_errors_are_raised(thread_limit: int) -> None:
    with pytest.raises(ValueError, match="bad luck"):
        list(in_parallel(partial(fail_at, bad=7), range(50), thread_limit=thread_limit))


@pytest.mark.parametrize("thread_limit", [10_000, 1])
def test_only_a_bounded_number_are_in_flight(tmp_path: Path, thread_limit: int) -> None:
    results = in_parallel(partial(touched, folder=tmp_path), range(3000), thread_limit=thread_limit, batch_size=4)
    next(results)
    results.close()
    assert len(list(tmp_path.iterdir())) < 1500


def test_a_script_without_a_guard_may_call_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from s4mi.data.parallel import in_parallel\nprint(sum(in_parallel(abs, range(-9, 0), thread_limit=1)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "45"


def test_threads_share_memory_and_only_a_bounded_number_is_pending() -> None:
    seen: list[int] = []

    def work(number: int) -> int:
        seen.append(number)
        return number

    results = in_threads(work, 5000)
    assert next(results) == 0
    assert len(seen) <= MAX_PENDING + 1
    assert list(results) == list(range(1, 5000))
    assert sorted(seen) == list(range(5000))


def test_processes_end_when_they_are_told_to_and_others_start_for_later_work() -> None:
    before = set(in_parallel(process, range(64), thread_limit=0, batch_size=1))
    end_processes()
    assert not any(Path(f"/proc/{pid}").exists() for pid in before if pid != os.getpid())
    after = set(in_parallel(process, range(64), thread_limit=0, batch_size=1))
    assert not before & after
    end_processes()
    end_processes()
