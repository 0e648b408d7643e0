"""Count what goes wrong, and show the counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one table row, and an example of each fault."""

    tried: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def note(self, fault: str, example: str) -> None:
        self.faults[fault] += 1
        self.examples.append(f"{fault}: {example}")


def table_of(tallies: Mapping[str, Tally], head: Sequence[str]) -> str:
    """Return tallies as a Markdown table with a sum.

    Args:
        head: what is counted, the name of the trials, and the faults.
    """
    every = Tally(sum(one.tried for one in tallies.values()), sum((one.faults for one in tallies.values()), Counter()))
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for name, one in (*tallies.items(), ("all", every)):
        lines.append(f"| {name} | {one.tried} | {' | '.join(str(one.faults[fault]) for fault in head[2:])} |")
    return "\n".join(lines)
