#!/usr/bin/env bash
# Packages: skl2onnx 1.20.0, onnx 1.23.2, onnxruntime 1.32.0, scikit-learn 1.9.1, scipy 1.17.1, numpy 2.2.6; Python
# 3.11.
#
# A classifier is calibrated, exported to ONNX and installed elsewhere; one compares a few outputs within rounding and
# takes the file for the model. For `CalibratedClassifierCV(method="isotonic")` it is another one: scikit-learn
# interpolates linearly between the points of the isotonic curve, the ONNX graph of skl2onnx takes the value of the
# point that is nearest. The conversion says nothing. With thousands of images the curve has many points and the
# difference is small; with the few labels of a small study it is large between points, and operating points, sizes of
# prediction sets and the decision at 0.5 change. method="sigmoid" is exported exactly.
#
# Seen, probabilities of 5000 other samples, by number of calibration samples:
#                             20     40    100    400   2000
#   largest difference     0.248  0.286  0.124  0.106  0.026
#   decisions that differ  1.6 %  1.8 %  0.0 %  0.1 %  0.0 %
#   largest, sigmoid       below 0.00001
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 scikit-learn==1.9.1 \
    scipy==1.17.1 numpy==2.2.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)


def samples(number):
    y = random.integers(0, 2, number)
    return (random.normal(size=(number, 2)) + y[:, None]).astype(np.float32), y


test, _ = samples(5000)
largest = {}
for number in (20, 40, 100, 400, 2000):
    x, y = samples(number)
    for method in ("sigmoid", "isotonic"):
        model = CalibratedClassifierCV(LogisticRegression(), method=method, cv=5, ensemble=False).fit(x, y)
        graph = to_onnx(model, x[:1], options={"zipmap": False}).SerializeToString()
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        decisions, probabilities = session.run(None, {"X": test})
        difference = np.abs(probabilities - model.predict_proba(test)).max()
        differ = (decisions != model.predict(test)).mean()
        print(f"{number} samples, {method}: largest difference {difference:.3f}, {differ:.1%} of the decisions differ")
        largest[method, number] = difference
        if method == "isotonic":
            (one,) = model.calibrated_classifiers_
            (curve,) = one.calibrators
            scores = one.estimator.decision_function(test)
            nearest = np.abs(scores[:, None] - curve.X_thresholds_).argmin(axis=1)
            assert np.isclose(curve.y_thresholds_[nearest], probabilities[:, 1], atol=1e-5).mean() > 0.99
            assert np.allclose(curve.predict(scores), model.predict_proba(test)[:, 1])
assert max(value for (method, _), value in largest.items() if method == "sigmoid") < 1e-5, largest
assert largest["isotonic", 20] > 0.1 and largest["isotonic", 40] > 0.1, largest
PYTHON
