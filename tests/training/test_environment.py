"""Peak memory is that of one run, even if a process trains several."""

import mmap
import subprocess
import sys

import pytest
import torch

from s4mi.training.environment import forget_peak_memory, peak_memory


def touched(mib: int) -> mmap.mmap:
    """Map fresh pages: `malloc` may return memory that this process has held all along."""
    pages = mmap.mmap(-1, mib << 20)
    for at in range(0, len(pages), mmap.PAGESIZE):
        pages[at] = 1
    return pages


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget a peak")
def test_a_peak_before_is_forgotten_and_one_after_is_not() -> None:
    cpu = torch.device("cpu")
    large = touched(200)
    with_large = peak_memory(cpu)
    large.close()
    forget_peak_memory(cpu)
    without = peak_memory(cpu)
    assert with_large - without > 150
    large = touched(100)
    assert 50 < peak_memory(cpu) - without < 150
    large.close()


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of getrusage")
def test_the_peak_of_a_worker_is_its_own_and_not_that_of_the_process_that_started_it() -> None:
    """As of a study that is run in a notebook with much in memory."""
    code = (
        "import torch; from s4mi.training.environment import forget_peak_memory, peak_memory; "
        "forget_peak_memory(torch.device('cpu')); print(peak_memory(torch.device('cpu'))); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    large = touched(600)
    told, kib = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout.split()
    large.close()
    assert float(told) == pytest.approx(int(kib) / 1024, abs=20)
