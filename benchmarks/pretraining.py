"""Time a step of pre-training against a typical training loop; see `side_by_side.py`.

    python benchmarks/pretraining.py [--rounds R] [--quick]

DINO's peer is the loop of lightly's documentation, which passes view after view through the networks. CASS's peer is
a plain loop with two networks and two optimisers, as in its authors' notebook. Both sides have the same timm networks
with the same weights and the same crops of noise, in memory before timing, in the memory format of their own data path;
those of the peers are normalised beforehand.
"""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import torch
from lightly.loss import DINOLoss  # type: ignore[import-untyped]
from lightly.models.modules import DINOProjectionHead  # type: ignore[import-untyped]
from lightly.models.utils import deactivate_requires_grad, update_momentum  # type: ignore[import-untyped]
from lightly.utils.scheduler import cosine_schedule  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from s4mi.contract import Batch, Method
from s4mi.methods.pretraining.cass import Cass
from s4mi.methods.pretraining.dino import Dino
from s4mi.nets.backbone import Backbone, Normalise
from s4mi.settings.pretraining.cass import CassConfig
from s4mi.settings.pretraining.dino import DinoConfig
from side_by_side import EPOCHS, OPTIM, SECOND, Contest, Peer, command_line, noise, run


@dataclass(frozen=True)
class DinoContest(Contest):
    """Two large and six small crops of each image.

    Attributes:
        head: hidden width, bottleneck and prototypes, those of lightly's example or our defaults.
    """

    backbone: str
    local_size: int
    head: tuple[int, int, int]

    against: ClassVar[str] = "lightly's example"

    @property
    def peer_differs_in_training(self) -> bool:
        """Batch normalisation of lightly is per view, ours is over all crops of a size."""
        return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self.method().modules())

    def method(self) -> Dino:
        hidden, bottleneck, prototypes = self.head
        config = DinoConfig(
            backbone=self.backbone,
            weights="none",
            local_size=self.local_size,
            hidden=hidden,
            bottleneck=bottleneck,
            prototypes=prototypes,
            batch_norm=False,  # as in the paper and in lightly's example
        )
        method: Dino = config.build(self.task)
        return method

    def peer(self) -> "LightlyDino":
        backbone = Backbone(self.backbone, image_size=self.size, any_size=True)
        batch = self.crops()
        assert batch.local is not None
        views = [*batch.images.chunk(2), *batch.local.chunk(6)]
        return LightlyDino(backbone.net, backbone.features, self.head, [_normalised(view, backbone) for view in views])

    def crops(self) -> Batch:
        return Batch(
            images=noise(2 * self.batch, self.size, seed=0),
            rows=torch.arange(self.batch),
            local=noise(6 * self.batch, self.local_size, seed=1),
        )


@dataclass(frozen=True)
class CassContest(Contest):
    """The same image for a CNN and a transformer."""

    cnn: str
    vit: str
    against: ClassVar[str] = "plain loop, two optimisers"

    def method(self) -> Cass:
        method: Cass = CassConfig(cnn=self.cnn, vit=self.vit, weights="none").build(self.task)
        return method

    def peer(self) -> "TwoNetworks":
        backbones = [Backbone(name, image_size=self.size) for name in (self.cnn, self.vit)]
        networks = [nn.Sequential(backbone.net, nn.Linear(backbone.features, 1000)) for backbone in backbones]
        # Each network gets the normalisation it was trained with; the authors' loop gives both the CNN's.
        return TwoNetworks(networks, [_normalised(self.crops().images, backbone) for backbone in backbones])


class LightlyDino(Peer):
    """DINO from lightly's modules, as in its documentation."""

    def __init__(self, backbone: nn.Module, features: int, head: tuple[int, int, int], views: list[Tensor]) -> None:
        super().__init__()
        self.views = views
        self.student_backbone, self.teacher_backbone = backbone, deepcopy(backbone)
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch: weight_norm will move
            self.student_head = DINOProjectionHead(features, *head, freeze_last_layer=1)
            self.teacher_head = DINOProjectionHead(features, *head)
        deactivate_requires_grad(self.teacher_backbone)
        deactivate_requires_grad(self.teacher_head)
        config = DinoConfig()
        self.criterion = DINOLoss(
            output_dim=head[-1],
            warmup_teacher_temp=config.first_teacher_temperature,
            teacher_temp=config.teacher_temperature,
            warmup_teacher_temp_epochs=config.warmup_epochs,
        )

    def take(self, method: Method) -> None:
        assert isinstance(method, Dino)
        for tower, backbone, head in (
            (method.student, self.student_backbone, self.student_head),
            (method.teacher, self.teacher_backbone, self.teacher_head),
        ):
            backbone.load_state_dict(tower.backbone.net.state_dict())
            head.layers.load_state_dict(tower.head.mlp.state_dict())
            head.last_layer.weight_v.data.copy_(tower.head.prototypes.weight)

    def loss(self) -> Tensor:
        teacher = [self.teacher_head(self.teacher_backbone(view)) for view in self.views[:2]]
        student = [self.student_head(self.student_backbone(view)) for view in self.views]
        loss: Tensor = self.criterion(teacher, student, epoch=SECOND)
        return loss

    def steps(self) -> Iterator[float]:
        optimizer = Adam(self.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay)
        momentum = cosine_schedule(SECOND, EPOCHS, 0.996, 1)
        while True:
            update_momentum(self.student_backbone, self.teacher_backbone, m=momentum)
            update_momentum(self.student_head, self.teacher_head, m=momentum)
            loss = self.loss()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.student_head.cancel_last_layer_gradients(current_epoch=SECOND)
            optimizer.step()
            yield loss.item()


class TwoNetworks(Peer):
    """CASS as in its authors' code: two networks, an optimiser each, one loss."""

    def __init__(self, networks: list[nn.Sequential], images: list[Tensor]) -> None:
        super().__init__()
        (self.cnn, self.vit), self.images = networks, images

    def take(self, method: Method) -> None:
        assert isinstance(method, Cass)
        for embedder, network in ((method.cnn, self.cnn), (method.vit, self.vit)):
            backbone, last = embedder
            assert isinstance(backbone, Backbone)
            assert isinstance(network, nn.Sequential)
            network[0].load_state_dict(backbone.net.state_dict())
            network[1].load_state_dict(last.state_dict())

    def loss(self) -> Tensor:
        z_cnn = F.normalize(self.cnn(self.images[0]), dim=-1)
        z_vit = F.normalize(self.vit(self.images[1]), dim=-1)
        return (2 - 2 * (z_cnn * z_vit).sum(dim=-1)).mean()

    def steps(self) -> Iterator[float]:
        optimizers = [
            Adam(network.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay) for network in (self.cnn, self.vit)
        ]
        while True:
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = self.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            yield loss.item()


EXAMPLE_HEAD = (512, 64, 2048)  # of lightly's example
OUR_HEAD = (DinoConfig().hidden, DinoConfig().bottleneck, DinoConfig().prototypes)
DINO, CASS = 1e-4, 1e-5

SMALL: list[Contest] = [
    DinoContest("DINO, ResNet-18, head 512, 2 × 96 + 6 × 48", 1, 96, 8, 9, 2, DINO, "resnet18", 48, EXAMPLE_HEAD),
    DinoContest("DINO, ResNet-18, head 2048, 2 × 96 + 6 × 48", 1, 96, 8, 9, 2, DINO, "resnet18", 48, OUR_HEAD),
    CassContest("CASS, ResNet-18 + ViT-Ti, 96", 4, 96, 16, 9, 3, CASS, "resnet18", "vit_tiny_patch16_224"),
]
QUICK = SMALL[1:]
LARGE: list[Contest] = [
    DinoContest("DINO, ResNet-50, head 2048, 2 × 224 + 6 × 96", 2, 224, 8, 3, 1, DINO, "resnet50", 96, OUR_HEAD),
    DinoContest(
        "DINO, ViT-Ti/16, head 2048, 2 × 224 + 6 × 96", 2, 224, 8, 3, 1, DINO, "vit_tiny_patch16_224", 96, OUR_HEAD
    ),
    CassContest("CASS, ResNet-50 + ViT-B/16, 224", 4, 224, 8, 3, 1, CASS, "resnet50", "vit_base_patch16_224"),
]


def main() -> None:
    """Run the measurements, print the table."""
    arguments = command_line("Time a step of pre-training against a typical training loop.")
    run(
        "pretraining",
        QUICK if arguments.quick else SMALL + LARGE,
        arguments,
        ("torch", "timm", "lightly", "lightning-fabric"),
    )


def _normalised(images: Tensor, backbone: Backbone) -> Tensor:
    """Normalise images as a peer's `DataLoader` would."""
    normalise: Normalise = backbone.normalise
    normalised: Tensor = normalise(images)
    return normalised.contiguous(memory_format=torch.contiguous_format)


if __name__ == "__main__":
    main()
