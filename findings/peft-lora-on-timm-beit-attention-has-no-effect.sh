#!/usr/bin/env bash
# Packages: peft 0.21.2, timm 1.0.31, torch 2.15.0; Python 3.11, CPU.
#
# The usual way to adapt a vision transformer of timm with few labels is LoRA on its `qkv` layers, by name:
# `peft.LoraConfig(target_modules=["qkv"])`. On a plain ViT this works. On BEiT it looks the same: peft finds the layers,
# wraps them, and lists trainable parameters of the expected number. But timm's BEiT never calls its `qkv` layer; it takes
# `qkv.weight` and passes it to a function of its own, as its bias is composed of parts. The weight that the wrapper hands
# out is the frozen one, so the update takes no part in the forward pass, its gradients are None, and training fits the
# head alone, without a word.
#
# Seen: with updates drawn at random (`init_lora_weights=False`) the output of a ViT changes; that of a BEiT is equal to
# the bit, and after a backward pass all of its LoRA parameters are without a gradient.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet peft==0.21.2 timm==1.0.31 torch==2.15.0
cat > "$work/lora.py" <<'PYTHON'
import timm
import torch
from peft import LoraConfig, inject_adapter_in_model

SIZES = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2, "num_classes": 0}


def adapted(network):
    """Whether LoRA changes the output, the number of its parameters, and how many of them have a gradient."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    network = network.eval()
    before = network(image)
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["qkv"], init_lora_weights=False), network)
    after = network.eval()(image)
    if after.requires_grad:
        after.sum().backward()
    lora = [parameter for name, parameter in network.named_parameters() if "lora_" in name]
    return not torch.equal(before, after), len(lora), sum(parameter.grad is not None for parameter in lora)


vit = adapted(timm.models.VisionTransformer(**SIZES))
beit = adapted(timm.models.Beit(qkv_bias=True, **SIZES))
print("ViT:  output changes, LoRA parameters, with gradient:", vit)
print("BEiT: output changes, LoRA parameters, with gradient:", beit)
assert vit == (True, 2, 2), vit
assert beit == (False, 2, 0), beit
PYTHON
"$work/venv/bin/python" "$work/lora.py"
