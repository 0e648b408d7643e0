"""Settings of PiCIE and MDC: views, the paper's recipe, names of clusters, and names in tables."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from s4mi.contract import ViewSpec
from s4mi.data.loading.augment import draw_views
from s4mi.settings.segmentation.picie import MdcConfig, PicieConfig


def test_views_of_picie_differ_in_colours_and_only_the_first_in_geometry() -> None:
    moved, in_place = PicieConfig().crops(32).images
    assert moved == PicieConfig().views
    affine = draw_views(in_place, 50, torch.Generator().manual_seed(0)).affine
    assert torch.equal(affine, torch.eye(2, 3).expand(50, -1, -1))
    colours = {"brightness", "contrast", "saturation", "hue", "jitter", "grey", "blur", "blur_sigma", "solarise"}
    assert in_place.model_dump(include=colours) == moved.model_dump(include=colours)
    assert draw_views(moved, 50, torch.Generator().manual_seed(0)).affine.std(dim=0).max() > 0.3
    assert MdcConfig().crops(32).images == (MdcConfig().views,)


def test_a_view_setting_changes_both_views() -> None:
    moved, in_place = PicieConfig.model_validate({"views": {"hue": 0.4, "rotation": 90}}).crops(32).images
    assert (moved.hue, in_place.hue) == (0.4, 0.4)
    assert (moved.rotation, in_place.rotation) == (90, 0)


@pytest.mark.parametrize("config", [PicieConfig, MdcConfig])
def test_explicit_settings_override_those_of_the_paper(config: type[PicieConfig | MdcConfig]) -> None:
    def made(**given: Any) -> PicieConfig | MdcConfig:
        return config.model_validate(given)

    own, paper = made(), made(recipe="paper")
    assert (own.centred, paper.centred) == (True, False)
    changed = {"hue": 0.1, "grey": 0.2, "blur": 0.5, "blur_sigma": (0.1, 2.0)}
    assert paper.views == own.views.model_copy(update=changed)
    given = made(recipe="paper", centred=True, views={"hue": 0.3, "flip": False})
    assert given.centred
    assert given.views == paper.views.model_copy(update={"hue": 0.3, "flip": False})
    assert made(recipe="paper", views=ViewSpec()).views == ViewSpec()
    assert config.model_validate(paper.model_dump()) == paper


@pytest.mark.parametrize(
    ("settings", "technique"),
    [({}, "picie"), ({"weights": "none"}, "picie from scratch"), ({"clusters": 8}, "picie, 8 clusters"),
     ({"weights": "none", "clusters": 8}, "picie from scratch, 8 clusters")],
)  # fmt: skip
def test_its_name_in_tables_has_the_start_and_the_number_of_clusters(settings: dict[str, Any], technique: str) -> None:
    assert PicieConfig.model_validate(settings).technique() == technique
    assert PicieConfig(weights="none").technique("dino") == "picie from dino"


@pytest.mark.parametrize(
    ("settings", "names", "named"),
    [
        ({}, ("cluster 0", "cluster 1"), False),
        ({"clusters": 3}, ("cluster 0", "cluster 1", "cluster 2"), False),
        ({"classes": {0: "background", 1: "lesion"}}, ("background", "lesion"), True),
        ({"classes": {1: "background", 0: "lesion"}}, ("background", "lesion"), True),
        ({"clusters": 3, "classes": {0: "pus", 1: "pus", 2: "skin"}}, ("pus", "skin"), True),
        ({"clusters": 4, "classes": {0: "b", 1: "a", 2: "background", 3: "a"}}, ("background", "b", "a"), True),
    ],
)
def test_without_masks_the_classes_are_the_clusters_or_their_given_names(
    settings: dict[str, Any], names: tuple[str, ...], named: bool
) -> None:
    config = PicieConfig.model_validate(settings)
    assert (config.own_classes, config.named) == (names, named)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({0: "background", 2: "lesion"}, "clusters must be numbered from 0 without gaps; several clusters may share"),
        ({1: "background", 2: "lesion"}, "clusters must be numbered from 0 without gaps"),
        ({0: "lesion", 1: "lesion"}, "at least two classes must be named, such as"),
        ({}, "at least two classes must be named"),
    ],
)
def test_names_that_leave_a_cluster_out_or_distinguish_nothing_are_refused(
    classes: dict[int, str], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        PicieConfig(classes=classes)


@pytest.mark.parametrize("clusters", [1, 256])
def test_one_cluster_is_too_few_and_256_do_not_fit_into_a_byte(clusters: int) -> None:
    with pytest.raises(ValidationError, match="clusters"):
        PicieConfig(clusters=clusters)
