"""The learning curve of one run says in words what it draws."""

from s4mi.records import EpochRecord, FeatureHealth, FeatureSpread
from s4mi.reporting.figures.run_history import run_history


def epoch(number: int, losses: dict[str, float], val: dict[str, float], std: float | None = None) -> EpochRecord:
    health = None
    if std is not None:
        health = FeatureHealth(features={"resnet18": FeatureSpread(std=std, effective_rank=9, dimensions=64)})
    return EpochRecord(
        epoch=number, losses=losses, val=val, health=health, lr=0.1, seconds=1.0, images_per_second=8.0
    )  # fmt: skip


def test_losses_scores_and_the_best_epoch_are_told() -> None:
    epochs = [
        epoch(1, {"supervised": 0.5, "pseudo_label": 0.3, "total": 0.8}, {"iou": 0.2, "iou of cnn": 0.1, "dice": 0.4}),
        epoch(
            2, {"supervised": 0.25, "pseudo_label": 0.2, "total": 0.45}, {"iou": 0.6, "iou of cnn": 0.5, "dice": 0.7}
        ),
    ]
    svg = run_history(epochs, title="<one>", metric="iou", best_epoch=2)
    assert svg is not None
    assert "Learning curve of &lt;one&gt;" in svg
    for told in ("total: 0.8 after epoch 1, 0.45 after epoch 2", "supervised: 0.5", "iou: 0.2", "iou of cnn: 0.1"):
        assert told in svg
    assert "dice" not in svg
    assert "The best epoch is 2." in svg
    assert svg == run_history(epochs, title="<one>", metric="iou", best_epoch=2)


def test_a_single_loss_is_drawn_once_and_the_first_score_where_none_is_named() -> None:
    svg = run_history([epoch(1, {"cross_entropy": 0.5, "total": 0.5}, {"f1_macro": 0.2, "auroc": 0.6})], title="run")
    assert svg is not None
    assert "total: 0.5 after epoch 1; f1_macro: 0.2 after epoch 1." in svg
    assert "cross_entropy" not in svg
    assert "validation f1_macro" in svg


def test_of_pretraining_the_spread_of_features_is_drawn() -> None:
    svg = run_history([epoch(n, {"total": 1 / n}, {}, std=0.5 if n % 2 else None) for n in (1, 2, 3)], title="run")
    assert svg is not None
    assert "resnet18: 0.5 after epoch 1, 0.5 after epoch 3" in svg
    assert "feature std" in svg


def test_without_an_epoch_there_is_nothing_to_draw() -> None:
    assert run_history([], title="run") is None
