"""The learning curve of one run, finished or not: its losses above, what is watched on validation below."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s4mi.records import EpochRecord
from s4mi.reporting.figures.style import WIDTH, epoch_axis, nth_style, plain_scale
from s4mi.reporting.figures.svg import INK, drawing, finish

Curve = list[tuple[int, float]]


def run_history(
    epochs: Sequence[EpochRecord], *, title: str, metric: str | None = None, best_epoch: int | None = None
) -> str | None:
    """Losses by epoch above; below the validation `metric`, or the spread of features of pre-training.

    Args:
        title: name of the run.
        metric: validation score to draw; None for the first there is.
        best_epoch: epoch to mark, whose weights were kept; None for none.
    """
    losses = _curves([(epoch.epoch, epoch.losses) for epoch in epochs])
    watched, label = _watched(epochs, metric)
    if not losses:
        return None
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.9 if watched else 2.3), layout="constrained")
        above, *below = figure.subplots(2 if watched else 1, 1, sharex=True, squeeze=False)[:, 0]
        _draw(above, losses)
        lowest, highest = above.dataLim.y0, above.dataLim.y1
        plain_scale(above, "y", logarithmic=lowest > 0 and highest > 5 * lowest)
        above.set_ylabel("training loss")
        for axes in below:
            _draw(axes, watched)
            axes.set_ylabel(label)
            if best_epoch is not None:
                axes.axvline(best_epoch, color=INK, linestyle=":", linewidth=1, label=f"best epoch: {best_epoch}")
                _legend(axes)
        epoch_axis(below[0] if below else above)
        told = [f"{name}: {_ends(curve)}" for name, curve in {**losses, **watched}.items()]
        best = "" if best_epoch is None else f" The best epoch is {best_epoch}."
        return finish(figure, title=f"Learning curve of {title}", description="; ".join(told) + f".{best}")


def _curves(values: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, Curve]:
    """By name the points that have it; the total of several losses first, and one loss only once."""
    curves: dict[str, Curve] = {}
    for epoch, own in values:
        for name, value in own.items():
            curves.setdefault(name, []).append((epoch, value))
    total = curves.pop("total", None)
    if total is None:
        return curves
    return {"total": total} if len(curves) < 2 else {"total": total, **curves}


def _watched(epochs: Sequence[EpochRecord], metric: str | None) -> tuple[dict[str, Curve], str]:
    """What tells how well the run does, and the label of its axis."""
    metric = metric or next((name for epoch in epochs for name in epoch.val), None)
    if metric is not None:
        scores = _curves([(epoch.epoch, epoch.val) for epoch in epochs])
        own = {name: curve for name, curve in scores.items() if name == metric or name.startswith(f"{metric} of ")}
        return own, f"validation {metric}"
    looks = [(epoch.epoch, epoch.health) for epoch in epochs if epoch.health is not None]
    spread = [(number, {name: one.std for name, one in health.features.items()}) for number, health in looks]
    return _curves(spread), "feature std"


def _draw(axes: Axes, curves: Mapping[str, Curve]) -> None:
    for i, (name, curve) in enumerate(curves.items()):
        look = nth_style(i)
        dot = look.marker if len(curve) == 1 else ""  # a line through one point shows nothing
        axes.plot(
            *zip(*curve, strict=True), color=look.colour, linestyle=look.line, marker=dot, markersize=4,
            linewidth=1.6 if i == 0 else 1.0, label=name,
        )  # fmt: skip
    if len(curves) > 1:
        _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8, handlelength=2.2)


def _ends(curve: Curve) -> str:
    (first, begin), (last, end) = curve[0], curve[-1]
    if first == last:
        return f"{begin:.3g} after epoch {first}"
    return f"{begin:.3g} after epoch {first}, {end:.3g} after epoch {last}"
