"""What the training of a run has cost: time, memory, energy."""

from s4mi.engine.fabric import Fabric
from s4mi.records import Cost
from s4mi.training.energy import EnergyMeter
from s4mi.training.environment import device_name, peak_memory
from s4mi.training.machine_load import machine_load


def measured_cost(
    fabric: Fabric, meter: EnergyMeter, *, seconds: float, images: int, parameters: int, preparation: float = 0.0
) -> Cost:
    """Return the cost so far.

    Args:
        meter: the energy since the run began.
        seconds: of training. images: seen in them, over all processes.
        parameters: number of parameters of the method.
        preparation: seconds before training that count as cost too, such as those of computing features.
    """
    joules = meter.read()
    return Cost(
        seconds=seconds + preparation,
        images_per_second=images / max(seconds, 1e-9),
        peak_memory_mib=peak_memory(fabric.device),
        parameters=parameters,
        device=device_name(fabric.device, processes=fabric.world_size),
        energy_wh=None if joules is None else joules / 3600,
        energy_of=meter.of,
        load=machine_load(seconds),
    )
