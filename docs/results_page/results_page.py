"""Write docs/results.md from the records in results/ and the text of results.md.jinja, the same bytes each time.

python docs/results_page/results_page.py            # or `make results`
python docs/results_page/results_page.py --check    # only compare
"""

import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from told import Records

HERE = Path(__file__).parent
PAGE = HERE.parent / "results.md"
RESULTS = HERE.parents[1] / "results"
TEMPLATE = "results.md.jinja"


def results_page(results: Path = RESULTS) -> str:
    """The page as text."""
    jinja = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    records = Records(results)
    jinja.tests["present"] = records.has
    return jinja.get_template(TEMPLATE).render(records=records)


def main(*, check: bool) -> None:
    """Write the page, or compare it."""
    text = results_page()
    if not check:
        PAGE.write_bytes(text.encode())
    elif PAGE.read_bytes() != text.encode():
        sys.exit(f"docs/{PAGE.name} is not what the records in results/ say; run `make results`")


if __name__ == "__main__":
    main(check="--check" in sys.argv[1:])
