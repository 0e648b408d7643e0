"""What is trained of the encoders of segmentation networks that are built by name."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from s4mi.contract import Task, TuningConfig
from s4mi.errors import S4miError
from s4mi.nets.dpt import DPT
from s4mi.nets.segmentation import SegmentationNet
from s4mi.nets.smp_net import SmpNet
from s4mi.nets.swin_unet import SwinUNet
from s4mi.nets.tuning import EncoderTuning


def tune_networks(networks: Mapping[str, SegmentationNet], config: TuningConfig, task: Task) -> list[EncoderTuning]:
    """Freeze what `config` does not train of the encoders of networks, by their names, in place.

    Networks without an encoder of their own are trained as they are if another one has an encoder.

    Raises:
        S4miError: no network has an encoder that could be tuned, or one cannot be tuned in this way.
    """
    if config.tuning == "full" and not config.head_first:
        return []
    encoders = {name: encoder for name, net in networks.items() if (encoder := _encoder_of(net)) is not None}
    if not encoders:
        setting = "head_first" if config.tuning == "full" else f"tuning={config.tuning}"
        raise S4miError(
            f"method.{setting}: {' and '.join(dict.fromkeys(networks))} has no encoder that is trained; leave it out, "
            "or choose a network on an encoder, such as resnet34"
        )
    sizes = {name: task.image_size + -task.image_size % networks[name].stride for name in encoders}
    return [EncoderTuning(encoder, config, name=name, image_size=sizes[name]) for name, encoder in encoders.items()]


def _encoder_of(net: Any) -> nn.Module | None:
    if isinstance(net, SmpNet):
        return net.encoder_module
    return net.encoder if isinstance(net, SwinUNet | DPT) else None
