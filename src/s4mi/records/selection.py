"""How a run was chosen: its epoch, temperature and thresholds, and with how many labels."""

from typing import Literal

from pydantic import Field

from s4mi.records.scores import Frozen

SelectionRule = Literal["validation", "cross_validation", "last"]
"""With which labels a run chooses its epoch, temperature and thresholds."""


class Selection(Frozen):
    """What a run was chosen with.

    Attributes of the choice: `validation` held labels out, `cross_validation` used predictions for labels that the
    fit of their fold had not seen, `last` chose nothing: the last epoch, temperature 1, thresholds 1/2.
    """

    asked: SelectionRule = Field(description="rule in the settings")
    used: SelectionRule = Field(description="rule that could be followed; `last` where too few labels were there")
    labels: int = Field(description="number of labels that the choice was made with; 0: nothing was chosen")
    note: str = Field("", description="why another rule than the one in the settings was followed, one sentence")
