"""A hint against a collapse never names a setting that has its value already."""

import pytest

from s4mi.config.methods import METHOD_CONFIGS
from s4mi.settings.pretraining.cass import CassConfig
from s4mi.settings.pretraining.dino import DinoConfig
from s4mi.settings.pretraining.simclr import SimclrConfig


def test_what_is_set_is_not_recommended() -> None:
    assert CassConfig(weights="none").hint == (
        "set method.variance_weight=1, start from method.weights=imagenet, or lower optim.lr"
    )
    assert CassConfig(weights="none", variance_weight=1).hint == "start from method.weights=imagenet, or lower optim.lr"
    assert CassConfig(variance_weight=1).hint == "lower optim.lr"
    assert CassConfig(weights="none", cnn_weights="imagenet", variance_weight=0.5).hint == (
        "set method.variance_weight=1, or lower optim.lr"
    )
    assert "set method.batch_norm=true" in DinoConfig(weights="none", batch_norm=False).hint
    assert DinoConfig(batch_norm=True).hint == "lower method.teacher_temperature or optim.lr"
    assert "imagenet" not in SimclrConfig().hint


@pytest.mark.parametrize("config", METHOD_CONFIGS, ids=lambda config: str(config.model_fields["name"].default))
def test_every_method_has_something_to_try_in_words(config: type) -> None:
    assert all(hint and not hint.endswith((".", ",")) for hint in config.hints)
