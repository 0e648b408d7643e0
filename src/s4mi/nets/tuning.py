"""How much of a pre-trained network is trained: everything, nothing, its last blocks, or low-rank updates."""

from typing import Any, final

import timm
import torch
from torch import nn

from s4mi.contract import TrainState, Tuning, TuningConfig
from s4mi.nets.lora import add_lora, merge_lora


@final
class EncoderTuning:
    """The encoder of a method, and what is trained of it at which step; the method calls it from its hooks."""

    def __init__(self, encoder: nn.Module, config: TuningConfig, *, name: str, image_size: int) -> None:
        """Freeze what `config` does not train, in place.

        Args:
            name: of the encoder, for error messages. image_size: side of square images that it takes, in pixels.

        Raises:
            S4miError: the encoder cannot be tuned in this way.
        """
        if config.tuning == "lora":
            add_lora(encoder, name=name, rank=config.lora_rank, alpha=config.lora_alpha, image_size=image_size)
        else:
            freeze(encoder, config.tuning, blocks=config.tuned_blocks)
        self._encoder, self._head_first = encoder, config.head_first
        self._waiting: list[nn.Parameter] = []

    def before_epoch(self) -> None:
        """Put frozen parts into evaluation mode, after the loop has put everything into training mode."""
        hold_frozen(self._encoder)

    def before_step(self, state: TrainState) -> None:
        """Freeze all of the encoder in the first steps, and release it after them."""
        if state.step < self._head_first:
            self._wait()
        elif self._waiting:
            for parameter in self._waiting:
                parameter.requires_grad_(True)
            self._waiting = []
            self._encoder.train()
            hold_frozen(self._encoder)

    def after_backward(self) -> None:
        """Drop the gradients of parameters that wait."""
        for parameter in self._waiting:
            parameter.grad = None

    def before_inference(self, method: nn.Module) -> None:
        """Merge low-rank updates into the weights of all networks of a method, copies of its encoder included."""
        merge_lora(method)

    def _wait(self) -> None:
        self._encoder.eval()
        if not self._waiting:
            self._waiting = [parameter for parameter in self._encoder.parameters() if parameter.requires_grad]
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):  # it waits for all gradients
            for parameter in self._waiting:
                parameter.requires_grad_(False)


def freeze(net: nn.Module, tuning: Tuning, *, blocks: int) -> None:
    """Freeze what `full`, `head` or `last_blocks` do not train, in place; what is frozen already stays so.

    Args:
        blocks: number of blocks that `last_blocks` trains.
    """
    if tuning == "head":
        net.requires_grad_(False)
    if tuning == "last_blocks":
        trained = {name for group in parameter_groups(net)[-blocks:] for name in group}
        for name, parameter in net.named_parameters():
            if name not in trained:
                parameter.requires_grad_(False)


def hold_frozen(net: nn.Module) -> None:
    """Put every part without trainable parameters into evaluation mode, so that batch norm keeps its statistics."""
    if not any(parameter.requires_grad for parameter in net.parameters()):
        if next(net.parameters(), None) is not None:
            net.eval()
        return
    for child in net.children():
        hold_frozen(child)


def parameter_groups(net: nn.Module) -> list[list[str]]:
    """Names of the parameters of a network by block, from the input to the output.

    The blocks are timm's, or else the direct children. Parameters of a last norm belong to the block before it.
    """
    root, prefix = _unwrapped(net, "")
    number = _timm_groups(root)
    if number is None:
        children = [name for name, _ in root.named_children()]
        number = {name: children.index(name.partition(".")[0]) for name, _ in root.named_parameters()}
    vectors = {name for name, parameter in root.named_parameters() if parameter.ndim < 2}
    groups: list[list[str]] = []
    for index in sorted(set(number.values())):
        names = [name for name, group in number.items() if group == index]
        if groups and vectors.issuperset(names):
            groups[-1].extend(f"{prefix}{name}" for name in names)
        else:
            groups.append([f"{prefix}{name}" for name in names])
    return groups


def _unwrapped(net: nn.Module, prefix: str) -> tuple[nn.Module, str]:
    """The network within modules that only wrap it, and the prefix of its parameters' names."""
    holders = [(name, child) for name, child in net.named_children() if next(child.parameters(), None) is not None]
    if len(holders) != 1 or hasattr(net, "group_matcher"):
        return net, prefix
    (name, child) = holders[0]
    return _unwrapped(child, f"{prefix}{name}.")


def _timm_groups(net: Any) -> dict[str, int] | None:
    if not hasattr(net, "group_matcher"):
        return None
    groups: dict[str, int] = timm.models.group_parameters(net, net.group_matcher(coarse=False), reverse=True)
    return groups
