"""Every method that predicts is exported to a file with the same predictions, in each format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_conformance import CASES, CLASSES, SIZE, begun

from s4mi.contract import Classifier, LabelledFeatures, MethodConfig, Segmenter, Task
from s4mi.data.images import normalise_red
from s4mi.errors import S4miError
from s4mi.inference.export.deployable import Deployable
from s4mi.inference.export.formats import WRITERS
from s4mi.inference.load import load_exported
from s4mi.inference.model_metadata import ImageInput, ModelMetadata, SourceRun
from s4mi.nets.classical_features import ClassicalFeatures
from s4mi.records import TaskKind
from s4mi.records.calibration import Calibration
from s4mi.records.reliability import Reliability
from s4mi.settings.classification.classical import ClassicalConfig
from s4mi.settings.classification.frozen import FrozenConfig

NAMES = ("a", "b", "c")[:CLASSES]
QUICK = ("finetune-multiclass", "dedl-segmentation")
"""Cases that are fast to trace; each of the others takes seconds."""
TEMPERATURE = 1.7


def cases() -> list[Any]:
    """Each method and task with each of its members, in each format."""
    found = []
    for case in CASES:
        config, kind = case.values
        method = begun(config, kind)
        if not isinstance(method, Classifier | Segmenter):
            continue
        if any(isinstance(module, ClassicalFeatures) for module in method.modules()):
            continue  # refused: see the last test
        several = method.members if isinstance(method, Segmenter) else None
        for member in ("",) if several is None else several.choice.names:
            for ending in sorted(WRITERS):
                marks = [] if case.id in QUICK and ending == ".onnx" else [pytest.mark.slow]
                name = f"{case.id}-{member}".strip("-") + ending
                found.append(pytest.param(config, kind, member, ending, id=name, marks=marks))
    return found


def facts_of(kind: TaskKind, *, red: bool = True) -> ModelMetadata:
    unsure = Reliability(answers=9, ece=0.1, ece_calibrated=0.1, nll=0.1, nll_calibrated=0.1)
    return ModelMetadata(
        task=kind,
        classes=NAMES,
        mask_values={"0": "a", "1": "b", "255": "c"} if kind == "segmentation" else {},
        input=ImageInput(
            image_size=SIZE, resize_through=None, tile=None, intensity="percentiles:0.1:99.9", channels="rgb"
        ),
        red_channel_normalisation=red,
        calibration=Calibration(task=kind, classes=list(NAMES), temperature=TEMPERATURE, val=unsure),
        run=SourceRun(
            name="run", method="m", technique="t", backbone="b", member="", dataset="d", synthetic=True, seed=0,
            config_hash="c", split_hash="s", data_hash="d",
        ),
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("config", "kind", "member", "ending"), cases())
def test_an_exported_file_predicts_as_the_method_does(
    config: type[MethodConfig], kind: TaskKind, member: str, ending: str, tmp_path: Path
) -> None:
    method = begun(config, kind).eval()
    assert isinstance(method, Classifier | Segmenter)
    if member:
        assert isinstance(method, Segmenter)
        assert method.members is not None
        method.members.choice.take(member)
    path, facts = tmp_path / f"model{ending}", facts_of(kind)
    expected = []
    for count in (1, 3):
        images = np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
        seen = np.stack([normalise_red(image) for image in images])
        with torch.no_grad():
            expected.append((images, method.logits(torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255)))
    deployable = Deployable(
        method, multilabel=kind == "multilabel", red_channel_normalisation=True, temperature=TEMPERATURE
    )
    WRITERS[ending](deployable, facts, path)
    model = load_exported(path)
    assert model.metadata == facts
    for images, logits in expected:
        tempered = logits / TEMPERATURE
        probabilities = tempered.sigmoid() if kind == "multilabel" else tempered.softmax(dim=1)
        np.testing.assert_allclose(model.probabilities(images), probabilities.numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(model.logits(images), logits.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["logistic", "ridge", "knn", "prototype"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_a_frozen_encoder_with_each_head_is_exported(head: str, kind: TaskKind, tmp_path: Path) -> None:
    settings = {"backbone": "tiny_resnet", "weights": "none", "join": [], "head": head}
    method = FrozenConfig.model_validate(settings).build(Task(kind, NAMES, SIZE, counts=(3,) * CLASSES, labelled=9))
    generator = np.random.default_rng(0)
    classes = np.arange(9) % CLASSES
    labels = (generator.random((9, CLASSES)) < 0.5).astype(np.float32) if kind == "multilabel" else classes
    features = generator.random((9, 1, method.extractors[0].widths["pooled"])).astype(np.float32)
    method.fit(LabelledFeatures((features,), labels, np.arange(9)), generator)
    path = tmp_path / "model.onnx"
    deployable = Deployable(
        method.eval(), multilabel=kind == "multilabel", red_channel_normalisation=False, temperature=1.0
    )
    WRITERS[".onnx"](deployable, facts_of(kind, red=False), path)
    images = generator.integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    with torch.no_grad():
        expected = method.logits(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(load_exported(path).logits(images), expected.numpy(), rtol=1e-3, atol=1e-3)


def test_features_of_scikit_image_are_refused_in_an_exported_file(tmp_path: Path) -> None:
    method = ClassicalConfig().build(Task("multiclass", NAMES, SIZE, counts=(1,) * CLASSES, labelled=3)).eval()
    method.boosted.set_trees(
        feature=np.zeros(1, dtype=np.int64), left=np.zeros(1, dtype=np.int64), right=np.zeros(1, dtype=np.int64),
        threshold=np.zeros(1, dtype=np.float32), value=np.zeros((1, CLASSES), dtype=np.float32),
        roots=np.zeros(1, dtype=np.int64), bias=np.zeros(CLASSES, dtype=np.float32), levels=1,
    )  # fmt: skip
    deployable = Deployable(method, multilabel=False, red_channel_normalisation=False, temperature=1.0)
    with pytest.raises(S4miError, match=r"^run: features .* cannot be part of an exported file; .*join=\[\]") as error:
        WRITERS[".onnx"](deployable, facts_of("multiclass", red=False), tmp_path / "model.onnx")
    assert "choose another network" not in str(error.value)
