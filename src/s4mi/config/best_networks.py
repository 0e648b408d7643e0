"""The networks that `auto` chooses from."""

from s4mi.contract import NetworkKind

TRANSFORMERS = (
    "vit_small_patch16_dinov3", "vit_base_patch16_dinov3", "vit_small_patch14_dinov2", "vit_base_patch14_dinov2",
)  # fmt: skip
CNNS = ("convnext_small", "convnext_tiny", "resnet50")
SMALL_CNNS = ("tf_efficientnet_lite0", "efficientnet_b0", "resnet34", "resnet18")
SMALL_TRANSFORMERS = ("tiny_vit_5m_224", "vit_small_patch16_224", "vit_tiny_patch16_224")
BEST: dict[NetworkKind, tuple[str, ...]] = {
    "encoder": (*TRANSFORMERS, *CNNS, SMALL_TRANSFORMERS[0], *SMALL_CNNS, *SMALL_TRANSFORMERS[1:]),
    "flexible_encoder": (*TRANSFORMERS, *CNNS, SMALL_TRANSFORMERS[0], *SMALL_CNNS, *SMALL_TRANSFORMERS[1:]),
    "cnn": (*CNNS, *SMALL_CNNS),
    "transformer": (*TRANSFORMERS, *SMALL_TRANSFORMERS),
    "segmenter": (
        "tu-convnext_small", "tu-convnext_tiny", "tu-resnet50", "tu-tiny_vit_5m_224", "tu-tf_efficientnet_lite0",
        "tu-efficientnet_b0", "resnet34", "resnet18",
    ),
}  # fmt: skip
"""Networks that `auto` chooses from, the best first: self-supervised on many images, then large, then small."""
WITHOUT_WEIGHTS: dict[NetworkKind, str] = {
    "encoder": "resnet18", "flexible_encoder": "resnet18", "cnn": "resnet18", "transformer": "vit_tiny_patch16_224",
    "segmenter": "resnet18",
}  # fmt: skip
"""Networks that `auto` chooses where no weights are at hand: small ones learn more from few images."""
