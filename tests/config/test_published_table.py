"""The stored table of published weights: that of the libraries, read without them."""

import os
import sys
from importlib.resources import files
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from s4mi.config import published_table
from s4mi.config.best_networks import BEST
from s4mi.config.published_table import TABLE, as_json, installed_versions, published
from s4mi.config.weight_settings import network_identity
from s4mi.nets import published_weights
from s4mi.nets.published_source import Published, torch_cache
from s4mi.nets.weight_file_names import may_hold
from s4mi.nets.weight_names import is_named_for

NETWORKS = sorted(
    {identity for kind, names in BEST.items() for one in names if (identity := network_identity(one, kind))}
)


def test_the_table_is_that_of_the_libraries() -> None:
    assert (files("s4mi.config") / TABLE).read_text(encoding="utf-8") == as_json(), "run: make docs"


@pytest.mark.parametrize(("name", "library"), [*NETWORKS, ("tiny_vit", "timm"), ("resnet26", "timm"), ("no", "smp")])
def test_weights_are_those_that_the_library_publishes(name: str, library: str) -> None:
    assert published(name, library) == published_weights.published(name, library=library)  # type: ignore[arg-type]


def test_other_versions_are_asked_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    other = Published("another")
    monkeypatch.setattr(published_weights, "published", lambda name, library: other)
    assert published("resnet18", "timm") != other
    published_table._stored.cache_clear()
    monkeypatch.setattr(published_table, "version", lambda name: "0")
    try:
        assert set(installed_versions().values()) == {"0"}
        assert published("resnet18", "timm") == other
    finally:
        published_table._stored.cache_clear()


def test_addresses_are_those_of_the_hub() -> None:
    for source in filter(None, (published(*network) for network in NETWORKS)):
        if source.repository:
            hub = huggingface_hub.hf_hub_url(source.repository, "model.safetensors", revision=source.revision)
            assert source.address == hub


def test_what_the_hub_s_cache_holds_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = published("resnet18", "timm")
    assert source is not None
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert not source.cached
    folder = tmp_path / f"models--{source.repository.replace('/', '--')}"
    (folder / "snapshots/abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    found = huggingface_hub.try_to_load_from_cache(source.repository, "model.safetensors", cache_dir=tmp_path)
    assert found is None
    (folder / "snapshots/abc/model.safetensors").touch()
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache",
        lambda repository, name, revision: str(folder / name) if name == "model.safetensors" else None,
    )  # fmt: skip
    assert source.cached


@pytest.mark.parametrize("variables", [{}, {"TORCH_HOME": "~/mine"}, {"XDG_CACHE_HOME": "/elsewhere"}])
def test_torch_s_cache_is_where_torch_has_it(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    expected = Path(torch.hub.get_dir()) / "checkpoints"
    assert torch_cache() == expected
    monkeypatch.delitem(sys.modules, "torch")
    assert torch_cache() == expected
    assert os.environ.get("TORCH_HOME") == variables.get("TORCH_HOME")


@pytest.mark.parametrize("name", ["resnet50", "resnet50.a1_in1k", "tiny_vit_5m_224"])
def test_files_that_may_be_of_a_network_are_looked_into(name: str, tmp_path: Path) -> None:
    stems = ["resnet50", "resnet50_gn", "resnet50.a1_in1k", "resnet50-mine", "resnet5", "tiny_vit_5m_mobilesam", "x"]
    for stem in stems:
        folder = tmp_path / stem
        folder.mkdir()
        (folder / f"{stem}.pth").touch()
        if is_named_for(stem, name):
            assert may_hold([folder], name, original="y.pth")
    assert not may_hold([tmp_path / "x", tmp_path / "none"], name, original="y.pth")
    assert may_hold([tmp_path / "x"], name, original="x.pth")
