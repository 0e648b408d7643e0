"""The search for cyclic garbage pauses within, and goes on as it was before, also after an error."""

import gc

import pytest

from s4mi.data.cyclic_garbage import no_cyclic_garbage


@pytest.mark.parametrize("enabled", [True, False])
def test_the_search_pauses_and_is_then_as_it_was(enabled: bool) -> None:
    try:
        if not enabled:
            gc.disable()
        with no_cyclic_garbage(), no_cyclic_garbage():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
        with pytest.raises(ValueError, match="x"), no_cyclic_garbage():
            raise ValueError("x")
        assert gc.isenabled() is enabled
    finally:
        gc.enable()
