"""`s4mi methods --encoders` says what timm knows of an encoder and which weights are at hand."""

from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from conftest import Command
from s4mi.config.encoders import EncoderRow, encoder_names, encoder_rows
from s4mi.errors import S4miError


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_file(timm.create_model("lcnet_050").state_dict(), tmp_path / "lcnet_050_mine.safetensors")
    monkeypatch.setenv("S4MI_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_a_row_has_parameters_normalisation_licence_and_where_the_weights_are(weights: Path) -> None:
    (row,) = encoder_rows(["lcnet_050"])
    net = timm.create_model("lcnet_050", num_classes=0)
    assert row == EncoderRow(
        name="lcnet_050",
        kind="CNN",
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        size=224,
        multiple=1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        licence="apache-2.0",
        at_hand="file lcnet_050_mine.safetensors in the folder of S4MI_WEIGHTS",
    )


def test_a_transformer_says_which_image_sizes_it_takes() -> None:
    (row,) = encoder_rows(["vit_small_patch14_dinov2"])
    assert (row.kind, row.multiple, row.size) == ("transformer", 14, 518)


def test_names_are_filtered_by_a_part_or_a_pattern() -> None:
    assert "vit_small_patch14_dinov2" in encoder_names("dinov2")
    assert set(encoder_names("lcnet_0*")) == {name for name in timm.list_models() if name.startswith("lcnet_0")}
    assert encoder_names()[0] == "vit_small_patch16_dinov3"
    with pytest.raises(S4miError, match=r"no encoder matches 'lcnet_51'.*a part of a timm name"):
        encoder_names("lcnet_51")


def test_the_command_prints_the_table(weights: Path, s4mi: Command) -> None:
    done = s4mi("methods", "--encoders", "lcnet_050")
    assert done.returncode == 0
    for part in ("lcnet_050 ", "CNN", "apache-2.0", "0.485 0.456 0.406", "file lcnet_050_mine.safetensors", "tu-"):
        assert part in done.stdout
    assert "lcnet_050" not in s4mi("methods").stdout


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("convit_tiny", "transformer"), ("cait_xxs24_224", "transformer"), ("twins_svt_small", "transformer"),
        ("resnest14d", "CNN"), ("skresnet18", "CNN"), ("resnet50_clip", "CNN"), ("gmlp_ti16_224", "MLP"),
    ],
)  # fmt: skip
def test_the_kind_of_an_encoder_is_that_of_its_layers(name: str, kind: str) -> None:
    """Squeezing gates and pooling called attention make no transformer of a CNN."""
    (row,) = encoder_rows([name])
    assert row.kind == kind
