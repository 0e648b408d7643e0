import xml.etree.ElementTree as ET

from made_records import record
from s4mi.reporting.figures.score_bars import fraction_bars
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.scores import metric_of

IOU = metric_of("segmentation")


def study(fractions: tuple[float, ...] = (10.0, 100.0)):
    runs = [
        record(0.5 + 0.1 * seed + f / 1000, method=m, task="segmentation", fraction=f, seed=seed)
        for m in ("dedl", "cross_teaching")
        for f in fractions
        for seed in (0, 1)
    ]
    return [*runs, record(0.4, method="picie", task="segmentation", fraction=0.0)]


def test_every_technique_stands_at_its_fractions_with_mean_interval_and_n() -> None:
    svg = fraction_bars(compare(study())[0], IOU)
    root = ET.fromstring(svg)
    told = next(element.text for element in root if element.tag.endswith("desc"))
    assert "picie · resnet10 at 0 %: 0.400 (n = 1)" in told
    assert "dedl · resnet10 at 10 %: 0.560 ± > 0.5 (n = 2)" in told
    assert "picie · resnet10 at 10 %" not in told
    written = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {"0 %", "10 %", "100 %", "IoU", "label fraction", "dedl · resnet10"} <= written


def test_it_is_the_same_whatever_the_order() -> None:
    assert fraction_bars(compare(study())[0], IOU) == fraction_bars(compare(study()[::-1])[0], IOU)


def test_one_fraction_is_no_figure() -> None:
    (comparison,) = compare([record(0.5, task="segmentation")])
    assert fraction_bars(comparison, IOU) is None
