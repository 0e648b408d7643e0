#!/usr/bin/env bash
# Packages: torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# Patches for training are centred on voxels drawn from a map of weights: lesions often, background sometimes, or by
# uncertainty. `torch.multinomial(weights, n, replacement=True)` draws in proportion to the weights, says its name. On
# the CPU it adds the weights up in the precision they have. In float32 a sum of half a million grows in steps of 1/16,
# so a background weight of 0.01 adds nothing any more: every voxel that comes after the lesion in memory is never
# drawn. With equal weights some of the volume is drawn a third more often than the rest, with random ones the small
# weights of one half vanish. A volume of 256 × 256 × 200 is enough; small volumes, and so tests, are right. Nothing
# warns (torch refuses more than 2²⁴ weights, which this is below). Weights in float64 are the remedy, as in TorchIO's
# sampler.
#
# Seen, a volume of 200 slices, share of a million draws by slices (in brackets: by the weights):
#   weight 0.01, 1 in a lesion of slices 20 to 59    behind the lesion 0.000 (0.101)
#   weight 0.1 everywhere                            first 80 slices 0.341 (0.400), others 0.659 (0.600)
#   weights at random from 0 to 1                    those below 0.125 in the second half 0.000 (0.008)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch

SLICES, SIDE, DRAWS = 200, 256, 1_000_000
torch.set_num_threads(1)


def shares(weights, parts):
    """Share of draws by part (ranges of slices), and what the weights say."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(weights.flatten(), DRAWS, replacement=True, generator=generator) // SIDE**2
    counts = torch.bincount(drawn, minlength=SLICES).double() / DRAWS
    right = weights.double().sum(dim=(1, 2)) / weights.double().sum()
    return [(round(counts[a:b].sum().item(), 3), round(right[a:b].sum().item(), 3)) for a, b in parts]


lesion = torch.full((SLICES, SIDE, SIDE), 0.01)
lesion[20:60, 60:200, 60:200] = 1
equal = torch.full((SLICES, SIDE, SIDE), 0.1)
for name, weights, parts in (
    ("lesion", lesion, [(0, 20), (20, 60), (60, SLICES)]),
    ("equal weights", equal, [(0, 80), (80, SLICES)]),
):
    for kind, found in {
        "float32": shares(weights, parts),
        "float64": shares(weights.double(), parts),
    }.items():
        print(f"{name}, {kind}: " + ", ".join(f"{share} ({right})" for share, right in found))
        if kind != "float32":
            assert all(abs(share - right) < 0.01 for share, right in found), found
        elif name == "lesion":
            assert found[-1][0] == 0 and found[-1][1] > 0.09, found
        else:
            assert found[0][0] < 0.36 and found[0][1] == 0.4, found

generator = torch.Generator().manual_seed(0)
random = torch.rand(SLICES * SIDE**2, generator=generator)
drawn = torch.multinomial(random, DRAWS, replacement=True, generator=generator)
small = random < 0.125
for name, half in (("first", drawn < len(random) // 2), ("second", drawn >= len(random) // 2)):
    count = int((small[drawn] & half).sum())
    right = int(DRAWS * (random[small].double().sum() / random.double().sum()).item() / 2)
    print(f"random weights below 0.125, {name} half: {count} of about {right} draws")
    assert (count == 0) == (name == "second")
PYTHON
