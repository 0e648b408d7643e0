"""What runs began from: random weights though others were asked for, and networks too small for an answer."""

from collections.abc import Sequence

from s4mi.formatting import plural
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.reporting.results.comparison import technique_of

TINY = ("tiny_resnet", "tiny_vit", "tiny_swin", "Swin-UNet (tiny)")
"""Networks for trying out, as tables name them."""


def random_starts(runs: Sequence[RunRecord], pretrainings: Sequence[PretrainingRecord] = ()) -> list[str]:
    """One sentence if any run began from random weights although the best at hand were asked for; else nothing."""
    networks: dict[str, dict[str, int]] = {}
    word = "run"
    records: list[RunRecord | PretrainingRecord] = [*runs, *pretrainings]
    for record in records:
        name = technique_of(record).method if isinstance(record, RunRecord) else record.method
        for start in record.starts:
            if start.unintended:
                counts = networks.setdefault(name, {})
                counts[start.network] = counts.get(start.network, 0) + 1
    if not networks:
        return []
    arms = "; ".join(
        f"{name}: {', '.join(f'{network} ({plural(count, word)})' for network, count in counts.items())}"
        for name, counts in networks.items()
    )
    return [
        f"Random weights, though weights: auto asked for the best at hand: {arms}. No weights of these networks were "
        "found; name a folder of weight files in S4MI_WEIGHTS, or train where they can be downloaded."
    ]


def tiny_networks(runs: Sequence[RunRecord]) -> list[str]:
    """One sentence if networks are so small that they serve to try a study out only; else nothing."""
    names = [name for name in TINY if any(name in _parts(record.backbone) for record in runs)]
    if not names:
        return []
    return [
        f"{', '.join(names)}: tiny networks with random weights, for trying out. They do not answer which technique is "
        "the best; profile: strong trains networks that can."
    ]


def _parts(backbone: str) -> list[str]:
    """Networks in the name of a run's network, such as `2 × tiny_resnet U-Net` or `tiny_resnet + tiny_vit`."""
    names = [name.removeprefix("2 × ").strip() for name in backbone.split(" + ")]
    return [*names, *(name.partition(" ")[0] for name in names)]
