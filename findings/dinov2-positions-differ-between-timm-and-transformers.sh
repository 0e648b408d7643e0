#!/usr/bin/env bash
# Packages: timm 1.0.31, transformers 5.24.0, torch 2.15.0; Python 3.11, CPU.
#
# DINOv2's networks were trained with 37 × 37 positions (518 pixels) and are mostly used at 224 pixels or fewer, so the
# position embeddings are resized. timm resizes them with antialiasing, transformers (as DINOv2's own code does by default)
# without. The same weights are then two different networks: at 224 pixels timm has averaged over 2.3 × 2.3 positions,
# transformers has sampled. Features of the two cannot share an index, a classifier or a cache, though both libraries say
# that they load the same model. Enlarging (700 pixels) differs by some percent as well; only 518 agrees.
#
# Seen with embeddings drawn at random, ‖timm − transformers‖ / ‖transformers‖: 0.94 at 126 pixels, 0.81 at 224, 0 at 518,
# 0.08 at 700; each equals torch's bicubic interpolation to the bit, with antialiasing in timm, without in transformers.
# With trained weights of the same architecture the embeddings differed by 0.34 at 126 and 0.22 at 224, the class token of
# dermoscopic images by a cosine of 0.9971 (lowest 0.9644) and 0.9995, single patch tokens down to 0.857 and 0.904.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet timm==1.0.31 transformers==5.24.0 torch==2.15.0
cat > "$work/positions.py" <<'PYTHON'
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import checkpoint_filter_fn
from transformers import Dinov2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Embeddings

NAME, PATCH, WIDTH = "vit_small_patch14_dinov2", 14, 384
torch.manual_seed(0)
weights = timm.create_model(NAME, num_classes=0).state_dict()
positions = weights["pos_embed"]  # (1, 1 + 37 · 37, 384)
peer = Dinov2Embeddings(Dinov2Config(hidden_size=WIDTH, image_size=518, patch_size=PATCH))
peer.position_embeddings.data = positions


def resized(side, *, antialias):
    grid = positions[:, 1:].reshape(1, 37, 37, WIDTH).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(side, side), mode="bicubic", antialias=antialias, align_corners=False)
    return grid.permute(0, 2, 3, 1).reshape(1, side * side, WIDTH)


differences = {}
with torch.no_grad():
    for pixels in (126, 224, 518, 700):
        side = pixels // PATCH
        network = timm.create_model(NAME, num_classes=0, img_size=pixels)
        of_timm = checkpoint_filter_fn(dict(weights), network)["pos_embed"][:, 1:]
        of_peer = peer.interpolate_pos_encoding(torch.zeros(1, side * side + 1, WIDTH), pixels, pixels)[:, 1:]
        differences[pixels] = round(float((of_timm - of_peer).norm() / of_peer.norm()), 2)
        assert torch.allclose(of_timm, resized(side, antialias=True), atol=1e-6)
        assert torch.allclose(of_peer, resized(side, antialias=False), atol=1e-6)
print("relative difference of the position embeddings by image size:", differences)
assert differences[518] == 0, differences
assert differences[126] > 0.5 and differences[224] > 0.5, differences
assert 0.02 < differences[700] < 0.2, differences
PYTHON
"$work/venv/bin/python" "$work/positions.py"
