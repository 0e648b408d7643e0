"""`auto` becomes a concrete value when settings are read, by what is at hand."""

import http.server
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from s4mi.config import (
    METHOD_CONFIGS,
    RunConfig,
    apply_overrides,
    automatic,
    downloads,
    load_run_config,
    make_run_config,
    save_run_config,
)
from s4mi.config import at_hand as at_hand_module
from s4mi.config.run import differences
from s4mi.config.starts import starts_of
from s4mi.contract import MethodConfig
from s4mi.nets.backbone import tiny_resnet, tiny_vit
from s4mi.nets.published_source import Published
from s4mi.records import RANDOM


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no cache, no network, nothing remembered."""
    monkeypatch.delenv("S4MI_WEIGHTS", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(Published, "cached", False)
    monkeypatch.setattr(at_hand_module, "torch_cache", lambda: tmp_path / "torch")
    for cached in (at_hand_module._at_hand, automatic._say, downloads._answers):
        cached.cache_clear()
    downloads._SILENT.clear()


def config(method: dict[str, Any] | str, size: int = 128) -> RunConfig:
    return make_run_config({"data": {"path": "images", "image_size": size}, "method": method}, origin="test")


def save(folder: Path, name: str, *, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(seed)
    net = tiny_vit(image_size=64) if name.startswith("tiny_vit") else tiny_resnet()
    save_file(net.state_dict(), folder / name)
    return folder / name


AUTO = {"name": "finetune", "backbone": "tiny_resnet", "weights": "auto"}


def test_a_file_in_the_folders_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "second", "tiny_resnet_mine.safetensors")
    save(tmp_path / "torch", "tiny_resnet.safetensors")
    monkeypatch.setenv("S4MI_WEIGHTS", os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")]))
    resolved = config(AUTO)
    assert resolved.method.weights == str(path)  # type: ignore[attr-defined]
    assert resolved.auto["method.weights"].why == "file tiny_resnet_mine.safetensors in the folder of S4MI_WEIGHTS"
    (start,) = starts_of(resolved.method, resolved.auto)
    assert (start.network, start.weights, start.auto) == ("tiny_resnet", "file tiny_resnet_mine.safetensors", True)
    assert len(start.content) == 32
    assert not start.unintended


def test_a_file_in_the_cache_of_torch_comes_next(tmp_path: Path) -> None:
    path = save(tmp_path / "torch", "tiny_resnet-0a1b2c.safetensors")
    assert config(AUTO).method.weights == str(path)  # type: ignore[attr-defined]


def test_published_weights_in_the_cache_of_the_hub_come_before_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Published, "cached", True)
    resolved = config({"name": "finetune", "backbone": "resnet18", "weights": "auto"})
    assert resolved.method.weights == "imagenet"  # type: ignore[attr-defined]
    (start,) = starts_of(resolved.method, resolved.auto)
    assert start.weights.startswith("timm resnet18.")
    assert start.why.endswith("in the cache")
    assert start.licence == "apache-2.0"
    assert start.normalisation == "mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225"


def test_an_encoder_of_segmentation_models_pytorch_has_its_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Published, "cached", True)
    for encoder, weights in (("resnet34", "segmentation_models_pytorch resnet34"), ("tu-resnet34", "timm resnet34.")):
        resolved = config({"name": "dedl", "encoder": encoder, "weights": "auto"})
        assert starts_of(resolved.method, resolved.auto)[0].weights.startswith(weights)


def test_a_download_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(at_hand_module, "can_download", lambda address: asked.append(address) or True)
    assert config({**AUTO, "backbone": "resnet18"}).method.weights == "imagenet"  # type: ignore[attr-defined]
    assert len(asked) == 1
    assert "/timm/resnet18." in asked[0]


def test_without_any_weights_there_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="s4mi")
    for _ in range(3):
        resolved = config({**AUTO, "backbone": "resnet18"})
    (warning,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert warning == (
        "method.weights: auto is none, so that resnet18 starts from random weights: no file, none in a cache, and none "
        "that can be downloaded now"
    )
    (start,) = starts_of(resolved.method, resolved.auto)
    assert start.unintended
    given = config({**AUTO, "weights": "none"})
    assert not starts_of(given.method, given.auto)[0].unintended
    assert resolved.hash == config({**AUTO, "backbone": "resnet18", "weights": "none"}).hash


def test_the_hash_depends_on_the_content_of_a_file_and_not_on_its_folder(tmp_path: Path) -> None:
    one = save(tmp_path / "one", "tiny_resnet.safetensors")
    (tmp_path / "two").mkdir()
    moved = Path(shutil.copy(one, tmp_path / "two" / "another_name.safetensors"))
    other = save(tmp_path / "three", "tiny_resnet.safetensors", seed=1)
    hashes = [config({**AUTO, "weights": str(path)}).hash for path in (one, moved, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    gone = [config({**AUTO, "weights": path}).hash for path in ("/a/gone.pth", "/b/gone.pth", "/b/lost.pth")]
    assert gone[0] == gone[1] != gone[2]


def test_a_saved_config_holds_what_was_chosen_and_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "weights", "tiny_resnet.safetensors")
    monkeypatch.setenv("S4MI_WEIGHTS", str(tmp_path / "weights"))
    resolved = config(AUTO)
    save_run_config(resolved, tmp_path / "config.yaml")
    monkeypatch.delenv("S4MI_WEIGHTS")
    again = load_run_config(tmp_path / "config.yaml")
    assert again == resolved
    assert again.auto["method.weights"].value == str(path)
    overridden = load_run_config(tmp_path / "config.yaml", ["method.weights=none"])
    assert overridden.auto == {}
    assert differences(resolved, again) == []


def test_a_network_is_chosen_by_the_weights_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(automatic.BEST, "encoder", ("resnet18", "tiny_vit", "tiny_resnet"))
    monkeypatch.setenv("S4MI_WEIGHTS", str(tmp_path / "weights"))
    save(tmp_path / "weights", "tiny_resnet.safetensors")
    asked = {**AUTO, "backbone": "auto"}
    assert config(asked, 64).method.backbone_name == "tiny_resnet"
    save(tmp_path / "weights", "tiny_vit.safetensors")
    resolved = config(asked, 64)
    assert resolved.method.backbone_name == "tiny_vit"
    assert resolved.auto["method.backbone"].why.startswith("the best with weights at hand, file tiny_vit.safetensors")
    larger = config(asked, 100)  # no multiple of the patches of tiny_vit
    assert larger.method.backbone_name == "tiny_resnet"
    assert "passed over: tiny_vit: data.image_size 100 is not a multiple" in larger.auto["method.backbone"].why
    assert config(
        {**asked, "weights": str(tmp_path / "weights" / "tiny_resnet.safetensors")}, 64
    ).method.backbone_name == ("tiny_resnet")


def test_without_weights_a_small_network_is_chosen() -> None:
    assert config({"name": "finetune", "backbone": "auto", "weights": "auto"}).method.backbone_name == "resnet18"
    assert config({"name": "dedl", "encoder": "auto", "weights": "none"}).method.backbone_name == "resnet18 U-Net"


def test_the_encoder_of_a_pretraining_run_needs_no_other_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "encoders", "tiny_vit.safetensors")
    resolved = config({**AUTO, "backbone": "auto", "pretrained": str(tmp_path)})
    assert resolved.method.backbone_name == "tiny_vit"
    (start,) = starts_of(resolved.method, resolved.auto)
    assert (start.weights, start.unintended) == ("pre-training", False)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("method", METHOD_CONFIGS, ids=lambda method: str(method.model_fields["name"].default))
def test_every_method_takes_auto(method: type[MethodConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Published, "cached", True)
    monkeypatch.setattr("s4mi.nets.backbone.takes_size", lambda name, size: "")
    settings = {**dict.fromkeys(method.network_settings(), "auto"), **dict.fromkeys(method.weight_settings(), "auto")}
    if not method.weight_settings():
        pytest.skip("it starts from no weights")
    resolved = config({"name": method.model_fields["name"].default, **settings})
    found = starts_of(resolved.method, resolved.auto)
    assert len(found) == len(method.weight_settings())
    assert all(start.weights != RANDOM and start.auto for start in found)
    values = resolved.method.model_dump()
    assert "auto" not in [values[name] for name in settings]
    assert set(resolved.auto) == {f"method.{name}" for name in settings}


def test_cass_takes_weights_for_each_of_its_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S4MI_WEIGHTS", str(tmp_path / "weights"))
    paths = [save(tmp_path / "weights", f"{name}.safetensors") for name in ("tiny_resnet", "tiny_vit")]
    method = config({"name": "cass", "cnn": "tiny_resnet", "vit": "tiny_vit", "weights": "auto"}, 64).method
    assert [method.cnn_weights, method.vit_weights] == [str(path) for path in paths]  # type: ignore[attr-defined]


class _Quiet(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/here" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_a_file_can_be_downloaded_if_its_server_says_so(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not downloads.can_download(f"{server}/here")  # HF_HUB_OFFLINE is set
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert downloads.can_download(f"{server}/here")
    assert not downloads.can_download(f"{server}/missing")
    assert not downloads.can_download("")
    assert not downloads.can_download("http://127.0.0.1:1/here")  # nothing listens there


def test_a_silent_server_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def never(address: str) -> bool:
        asked.append(address)
        time.sleep(1)
        return True

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(downloads, "TIMEOUT", 0.05)
    monkeypatch.setattr(downloads, "_asked", never)
    assert not downloads.can_download("https://silent.example/a")
    assert not downloads.can_download("https://silent.example/b")
    assert asked == ["https://silent.example/a"]


def test_auto_is_a_value_on_the_command_line() -> None:
    contents = apply_overrides({"data": {"path": "images"}, "method": "finetune"}, ["method.weights=auto"])
    assert make_run_config(contents, origin="test").auto["method.weights"].value == "none"


def test_a_teacher_pads_images_to_its_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(automatic.BEST, "flexible_encoder", ("tiny_vit", "tiny_resnet"))
    monkeypatch.setenv("S4MI_WEIGHTS", str(tmp_path / "weights"))
    save(tmp_path / "weights", "tiny_vit.safetensors")
    asked = {"name": "frozen_teacher", "network": "small_unet", "teacher": "auto", "teacher_weights": "auto"}
    resolved = config(asked, 100).method.model_dump()
    assert resolved["teacher"] == "tiny_vit"
    assert resolved["teacher_weights"] == str(tmp_path / "weights" / "tiny_vit.safetensors")
    assert resolved["weights"] == "none"


def test_a_weight_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of frozen features needs its weight files again, from wherever predictions are asked for."""
    path = save(tmp_path / "weights", "tiny_resnet.safetensors")
    asked = {"name": "frozen", "backbone": "tiny_vit", "weights": "none"}
    monkeypatch.chdir(tmp_path)
    named = config({**asked, "backbone": "tiny_resnet", "weights": "weights/tiny_resnet.safetensors", "join": []})
    joined = config({**asked, "join": ["classical", "tiny_resnet=weights/tiny_resnet.safetensors"]})
    assert named.method.weights == str(path)  # type: ignore[attr-defined]
    assert joined.method.join == ("classical", f"tiny_resnet={path}")  # type: ignore[attr-defined]
    assert config({**asked, "join": ["tiny_resnet=gone.pth"]}).method.join == ("tiny_resnet=gone.pth",)  # type: ignore[attr-defined]


def test_the_id_of_a_run_depends_on_the_content_of_a_joined_file_alone(tmp_path: Path) -> None:
    asked = {"name": "frozen", "backbone": "tiny_vit", "weights": "none"}
    one = save(tmp_path / "one", "tiny_resnet.safetensors")
    moved = Path(shutil.copy(one, tmp_path / "moved.safetensors"))
    other = save(tmp_path / "two", "tiny_resnet.safetensors", seed=1)
    ids = [config({**asked, "join": [f"tiny_resnet={path}"]}).hash for path in (one, moved, other)]
    assert ids[0] == ids[1] != ids[2]
