"""DEDL: a U-Net with a pre-trained encoder, trained on masks (Singh & Cirrone 2023; S4MI section 3.2.1).

    x, y    (B, 3, H, W) images and their (B, H, W) masks
    z       unet(x)                       (B, K, H, W) logits
    loss    L(z, y),                      L = CE, or ½ [Dice + CE] with criterion=dice_cross_entropy

Of the encoder everything is trained, nothing, its last stages, or low-rank updates of its weights (LoRA).

With autoencoder post-processing, an MLP autoencoder over the rows of the logits is trained together with the U-Net:

    z'      autoencoder(z)                (B, K, H, W) logits
    loss    L(z, y) + L(z', y)
"""

from typing import final

from torch import Tensor

from s4mi.contract import (
    Batch,
    Batches,
    Losses,
    Segmenter,
    Task,
    TrainState,
)
from s4mi.maths.losses import class_weights, cross_entropy, dice
from s4mi.nets.autoencoder import PostProcessed
from s4mi.nets.lora import merge_lora
from s4mi.nets.segmentation import log_padding
from s4mi.nets.smp_net import SmpNet
from s4mi.nets.tuning import EncoderTuning
from s4mi.settings.segmentation.supervised import SupervisedConfig


@final
class Supervised(Segmenter):
    """A U-Net; with an autoencoder, validation chooses between raw and post-processed logits for prediction."""

    weight: Tensor | None

    def __init__(self, config: SupervisedConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        net = SmpNet(
            config.encoder,
            architecture=config.architecture,
            classes=len(task.classes),
            image_size=task.image_size,
            weights=config.weights,
            decoder_channels=config.decoder_channels,
            attention=config.attention,
        )
        log_padding(task.image_size, net.stride)
        size = task.image_size + -task.image_size % net.stride
        self.tuning = EncoderTuning(net.encoder_module, config, name=config.encoder, image_size=size)
        hidden = config.autoencoder
        self.net = net if hidden is None else PostProcessed(net, width=task.image_size, hidden=hidden)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    @property
    def members(self) -> PostProcessed | None:
        return self.net if isinstance(self.net, PostProcessed) else None

    def before_epoch(self, batches: Batches) -> None:
        self.tuning.before_epoch()

    def before_step(self, state: TrainState) -> None:
        self.tuning.before_step(state)

    def after_backward(self, state: TrainState) -> None:
        self.tuning.after_backward()

    def before_inference(self) -> None:
        merge_lora(self.net)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.net(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = batch.images, batch.known_masks
        if self.members is None:
            return self._losses(self.logits(x), y)
        z, post_processed = self.members.member_logits(x).values()
        return Losses(**self._losses(z, y), post_processed=self._losses(post_processed, y).total)

    def _losses(self, z: Tensor, y: Tensor) -> Losses:
        if self.config.criterion == "cross_entropy":
            return Losses(cross_entropy=cross_entropy(z, y, self.weight))
        return Losses(dice=dice(z, y) / 2, cross_entropy=cross_entropy(z, y, self.weight) / 2)
