#!/usr/bin/env bash
# Packages: tableone 0.9.6 and 0.8.0, pandas 2.2.3, scipy 1.14.1, statsmodels 0.14.4, numpy 1.26.4; Python 3.11.
#
# "Table 1" of a medical paper, of patients by group with p-values and standardised differences, is often made by
# tableone. A value that is missing is missing: for continuous variables it is left out. For categorical ones the
# current version makes "None" a category of its own, in the counts, in all percentages, in the chi-square test and in
# the standardised difference. Two hospitals with exactly the same grades then differ "significantly" if one of them
# graded fewer of its patients, and percentages are no longer those of the graded. 0.8 left them out, so an upgrade
# changes a paper's table. `include_null=False` is the remedy.
#
# Seen, grade I and II half each in both hospitals, the second with 50 patients of 150 not graded:
#   0.8.0                         grade I 50.0 and 50.0 %   p = 1.000    difference < 0.001
#   0.9.6                         grade I 50.0 and 33.3 %   p < 0.001    difference 1.000
#   0.9.6, include_null=False     as 0.8.0
# A continuous variable with the same gaps has the same p-value in all of them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/table.py" <<'PYTHON'
import sys

import numpy as np
import pandas
import tableone

hospital = ["A"] * 100 + ["B"] * 150
grade = ["I", "II"] * 100 + [None] * 50
volume = np.where([one is None for one in grade], np.nan, np.tile(np.arange(10.0), 25))
patients = pandas.DataFrame({"hospital": hospital, "grade": grade, "volume": volume})


def table(**settings):
    made = tableone.TableOne(patients, columns=["grade", "volume"], categorical=["grade"], groupby="hospital",
                             pval=True, smd=True, htest_name=False, **settings).tableone
    made.columns = made.columns.get_level_values(-1)
    rows = {name: made.xs(name, level=0) for name in ("grade, n (%)", "volume, mean (SD)")}
    first = rows["grade, n (%)"].loc["I"]
    tests = [next(one for one in rows[name]["P-Value"] if one) for name in rows]
    difference = next(one for one in rows["grade, n (%)"]["SMD (A,B)"] if one)
    print(tableone.__version__, settings, "grade I", first["A"], first["B"], "p", tests, "difference", difference)
    return [first["A"], first["B"], tests[0], difference], tests[1]


left_out = ["50 (50.0)", "50 (50.0)", "1.000", "<0.001"]
found, continuous = table()
assert continuous == sys.argv[2]
if sys.argv[1] == "old":
    assert found == left_out
else:
    assert found == ["50 (50.0)", "50 (33.3)", "<0.001", "1.000"]
    assert table(include_null=False) == (left_out, sys.argv[2])
PYTHON
for version in 0.8.0 0.9.6; do
    python3 -m venv "$work/venv-$version"
    "$work/venv-$version/bin/python" -m pip install --quiet tableone==$version pandas==2.2.3 scipy==1.14.1 \
        statsmodels==0.14.4 numpy==1.26.4
done
"$work/venv-0.8.0/bin/python" "$work/table.py" old 1.000
"$work/venv-0.9.6/bin/python" "$work/table.py" new 1.000
