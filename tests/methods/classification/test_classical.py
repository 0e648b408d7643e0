"""The classical baseline: its two heads against scikit-learn, and the choice between them."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from s4mi.contract import Fit, LabelledFeatures, Task
from s4mi.maths import boosting
from s4mi.methods.classification.classical import Classical
from s4mi.settings.classification.classical import FEWEST_FOR_BOOSTING, ClassicalConfig

SIZE = 40


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "ROUNDS", 12)


def method(*, multilabel: bool = False, classes: int = 3, **settings: Any) -> Classical:
    kind = "multilabel" if multilabel else "multiclass"
    names = tuple("abcd"[:classes])
    task = Task(kind=kind, classes=names, image_size=SIZE, counts=(1,) * classes, labelled=1)  # type: ignore[arg-type]
    return ClassicalConfig.model_validate(settings).build(task)


def features(
    n: int, *, classes: int = 3, interaction: bool = False, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features of which few tell the classes apart, or, with `interaction`, two only together."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 15)).astype(np.float32)
    if interaction:
        return x, ((x[:, ::5] > 0).sum(axis=1) % 2).astype(np.int64)
    y = generator.integers(classes, size=n)
    y[:classes] = range(classes)
    return x + 1.5 * np.eye(classes, 15, dtype=np.float32)[y], y


def fitted(built: Classical, x: NDArray[np.float32], y: NDArray[Any], *, seed: int = 0) -> Fit:
    data = LabelledFeatures((x[:, None],), y, np.arange(len(y)))
    return built.fit(data, np.random.default_rng(seed))


def probability(built: Classical, x: NDArray[np.float32]) -> NDArray[np.float32]:
    logits: Tensor = built.head_logits([torch.from_numpy(x)])
    return logits.softmax(dim=1).numpy()


def balanced(y: NDArray[np.int64]) -> NDArray[np.float64]:
    count = np.bincount(y)
    weight = (len(y) / np.count_nonzero(count) / count.clip(1)).astype(np.float32)  # as `class_weights` rounds them
    return weight.astype(np.float64)[y]


def test_the_logistic_head_is_scikit_learns_with_balanced_classes() -> None:
    x, y = features(60)
    built = method(head="logistic")
    result = fitted(built, x, y)
    assert result.chosen is not None
    strength = float(result.chosen["strength"])
    z = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(x.shape[1])
    peer = LogisticRegression(C=1 / strength, class_weight="balanced", tol=1e-9, max_iter=9000).fit(z, y)
    np.testing.assert_allclose(probability(built, x), peer.predict_proba(z), atol=1e-3)


def test_the_boosted_head_is_scikit_learns_with_balanced_classes() -> None:
    x, y = features(60)
    built = method(head="boosting")
    assert fitted(built, x, y, seed=4).chosen == {"head": "boosting"}
    seed = int(np.random.default_rng(4).integers(2**31)) % 2**16
    peer = GradientBoostingClassifier(
        n_estimators=12, learning_rate=boosting.RATE, max_depth=boosting.DEPTH, subsample=boosting.SHARE,
        max_features="sqrt", random_state=seed,
    ).fit(x, y, sample_weight=balanced(y))  # fmt: skip
    new, _ = features(100, seed=9)
    np.testing.assert_allclose(probability(built, new), peer.predict_proba(new), atol=1e-6)


def test_the_head_with_the_smaller_held_out_loss_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for loss, head in ((0.0, "boosting"), (99.0, "logistic")):
        monkeypatch.setattr("s4mi.methods.classification.classical.boosting_loss", lambda *_, loss=loss, **__: loss)
        result = fitted(method(), *features(80))
        assert result.scores is not None
        assert result.scores["log_loss of boosting"] == loss
        assert (result.chosen or {})["head"] == head


def test_a_line_is_chosen_where_a_line_is_the_truth() -> None:
    result = fitted(method(), *features(100))
    assert (result.chosen or {})["head"] == "logistic"
    assert set(result.scores or {}) == {"log_loss of logistic", "log_loss of boosting"}


def test_boosting_is_not_tried_with_few_labels() -> None:
    result = fitted(method(), *features(FEWEST_FOR_BOOSTING - 1))
    assert (result.chosen or {})["head"] == "logistic"
    assert set(result.scores or {}) == {"log_loss of logistic"}


@pytest.mark.parametrize("head", ["logistic", "boosting"])
def test_several_labels_are_one_model_each(head: str) -> None:
    x, y = features(80)
    labels = np.stack([y == 0, y > 0, y == 2], axis=1).astype(np.float32)
    built = method(head=head, multilabel=True)
    fitted(built, x, labels)
    logits = built.head_logits([torch.from_numpy(x)])
    assert ((logits > 0).numpy() == labels.astype(bool)).mean() > 0.85
    torch.testing.assert_close(logits[:, 0], -logits[:, 1], atol=1.0, rtol=0.35)  # label b is not a


@pytest.mark.parametrize("head", ["logistic", "boosting"])
def test_a_class_without_an_image_is_noted_and_not_predicted(head: str) -> None:
    x, y = features(50)
    built = method(head=head, classes=4)
    result = fitted(built, x, y)
    assert result.notes == ("not fitted, as all labelled images agree: d; label more images",)
    assert probability(built, x)[:, 3].max() < 1e-6


def test_one_image_of_each_class_is_enough() -> None:
    x, y = features(3)
    built = method()
    result = fitted(built, x, y)
    assert (probability(built, x).argmax(axis=1) == y).all()
    assert (result.chosen or {})["head"] == "logistic"


def test_class_weights_favour_the_rare_class() -> None:
    x, y = features(200, classes=2)
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8]])
    shares = []
    for rule in ("none", "inverse"):
        built = method(classes=2, head="logistic", class_weights=rule)
        fitted(built, x[rare], y[rare])
        shares.append((probability(built, x)[:, 1] > 0.5).mean())
    assert shares[1] > shares[0] + 0.1


def test_images_of_other_colours_are_told_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    images = 0.4 * torch.rand(20, 3, SIZE, SIZE, generator=generator)
    y = torch.arange(20) % 2
    images[y == 1, 0] += 0.4
    built = method(classes=2)
    with torch.no_grad():
        x = built.extractors[0](images)["pooled"].numpy()
        fitted(built, x[:10], y[:10].numpy())
        assert (built.logits(images[10:]).argmax(dim=1) == y[10:]).all()
