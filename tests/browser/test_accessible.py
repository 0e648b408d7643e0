"""No serious fault by axe-core at phone and desk width, light and dark; nothing is cut off at phone width."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SCREENS = {
    "#/images": ".cell img.loaded",
    "#/image/5": ".stage[data-mask=ready]",
    "#/changes": ".merge",
    "#/findings": ".findings, .page p",
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_serious_fault(serve_page, open_page, lesion_copy: Path, width: int, dark: bool) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: cd web && npm ci")
    served = serve_page(lesion_copy)
    page = open_page(served, width=width, dark=dark, bypass_csp=True)
    page.request.put(
        f"{served.address}api/images/3/labels?base_revision=0",
        data={"labels": ["nevus"]},
        headers={"X-S4MI": "1", "X-Client": "c-test", "Origin": served.address.rstrip("/")},
    )
    for screen, shown in SCREENS.items():
        page.goto("about:blank")
        page.goto(served.address + screen)
        page.wait_for_selector(shown)
        if screen == "#/image/5":
            page.keyboard.press("?")
            page.wait_for_selector("dialog")
            assert faults(page) == []
            page.keyboard.press("Escape")
        assert faults(page) == []
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow == 0, f"{screen} is {overflow} px too wide"


def faults(page) -> list[str]:
    """Serious and critical faults, each with the elements concerned."""
    page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run().then(result => result.violations)")
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
