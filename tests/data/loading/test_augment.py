import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torchvision.transforms import functional as peer

from s4mi.contract import ViewSpec
from s4mi.data.loading.augment import TOLERANCE, Views, apply_on_cpu, apply_on_device, draw_views, join_views
from s4mi.data.sources.synthetic import draw_lesions

Pixels = NDArray[np.uint8]
Applier = Callable[[Pixels, Pixels | None, Views], tuple[Tensor, Tensor | None]]

SIDE = 96
DRAWINGS = list(draw_lesions(6, size=SIDE, seed=1))
IMAGES = np.stack([drawing.image for drawing in DRAWINGS])
MASKS = np.stack([drawing.mask for drawing in DRAWINGS])

NONE = ViewSpec(rotation=0, flip=False)
GEOMETRY = {"scale": (0.2, 1.0), "translation": 0.1}
COLOUR = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}

quick = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
areas = st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)).map(lambda pair: (min(pair), max(pair)))
specs = st.builds(
    ViewSpec,
    rotation=st.floats(0, 180),
    flip=st.booleans(),
    scale=areas,
    translation=st.floats(0, 0.5),
    brightness=st.floats(0, 0.9),
    contrast=st.floats(0, 0.9),
    saturation=st.floats(0, 0.9),
    hue=st.floats(0, 0.5),
    blur=st.floats(0, 1),
)


def on_device(images: Pixels, masks: Pixels | None, views: Views) -> tuple[Tensor, Tensor | None]:
    return apply_on_device(torch.from_numpy(images), None if masks is None else torch.from_numpy(masks), views)


both = pytest.mark.parametrize("applied", [apply_on_cpu, on_device], ids=["cpu", "device"])


def drawn(spec: ViewSpec, count: int = len(IMAGES), seed: int = 0) -> Views:
    return draw_views(spec, count, torch.Generator().manual_seed(seed))


def geometry(*matrices: list[list[float]]) -> Views:
    return Views(affine=torch.tensor(matrices), colour=None, blur=None)


def turned(degrees: float, count: int = len(IMAGES)) -> Views:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return geometry(*[[[c, -s, 0.0], [s, c, 0.0]]] * count)


def bytes_of(pixels: Tensor) -> Pixels:
    """(B, 3, S, S) in [0, 1] → (B, S, S, 3) uint8."""
    return (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "spec",
    [
        ViewSpec(),
        ViewSpec(**GEOMETRY),
        ViewSpec(rotation=0, flip=False, **COLOUR),
        ViewSpec(**GEOMETRY, **COLOUR),
        ViewSpec(rotation=0, flip=False, blur=1),
        ViewSpec(**GEOMETRY, **COLOUR, blur=0.5),
        ViewSpec(**GEOMETRY, aspect=(0.5, 2), blur=0.5, blur_sigma=(0.1, 4)),
        ViewSpec(rotation=0, flip=False, **COLOUR, grey=0.5, jitter=0.5),
    ],
    ids=["turn and flip", "geometry", "colour", "both", "blur", "all", "aspect and blurs", "grey"],
)
def test_both_appliers_give_the_same_pixels(spec: ViewSpec, seed: int) -> None:
    views = drawn(spec, seed=seed)
    on_cpu, cpu_masks = apply_on_cpu(IMAGES, MASKS, views)
    there, there_masks = on_device(IMAGES, MASKS, views)
    assert cpu_masks is not None
    assert there_masks is not None
    assert (255 * (on_cpu - there).abs()).mean(dim=(1, 2, 3)).max() < TOLERANCE
    assert (cpu_masks == there_masks).float().mean(dim=(1, 2)).min() > 0.99


def test_both_appliers_blur_alike_at_the_edges() -> None:
    views = Views(affine=drawn(NONE).affine, colour=None, blur=torch.ones(len(IMAGES)))
    difference = 255 * (apply_on_cpu(IMAGES, None, views)[0] - on_device(IMAGES, None, views)[0]).abs()
    assert difference.amax() < 1.5


@both
def test_outputs_have_the_documented_type(applied: Applier) -> None:
    images, masks = applied(IMAGES, MASKS, drawn(ViewSpec(**GEOMETRY, **COLOUR, blur=0.5)))
    assert masks is not None
    assert images.shape == (len(IMAGES), 3, SIDE, SIDE)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= images.min() <= images.max() <= 1
    assert masks.shape == (len(IMAGES), SIDE, SIDE)
    assert masks.dtype == torch.int64
    assert applied(IMAGES, None, drawn(ViewSpec()))[1] is None


@both
def test_neither_applier_modifies_its_input(applied: Applier) -> None:
    images, masks = IMAGES.copy(), MASKS.copy()
    applied(images, masks, drawn(ViewSpec(**GEOMETRY, **COLOUR, blur=1)))
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(masks, MASKS)


@both
def test_the_identity_view_returns_the_image(applied: Applier) -> None:
    images, masks = applied(IMAGES, MASKS, drawn(NONE))
    assert np.array_equal(bytes_of(images), IMAGES)
    assert masks is not None
    assert np.array_equal(masks.numpy(), MASKS)


@both
@pytest.mark.parametrize(("across", "down"), [(-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
def test_a_flip_is_numpys(applied: Applier, across: float, down: float) -> None:
    views = geometry(*[[[across, 0.0, 0.0], [0.0, down, 0.0]]] * len(IMAGES))
    images, masks = applied(IMAGES, MASKS, views)
    axes = [axis for axis, sign in ((1, down), (2, across)) if sign < 0]
    assert np.array_equal(bytes_of(images), np.flip(IMAGES, axes))
    assert masks is not None
    assert np.array_equal(masks.numpy(), np.flip(MASKS, axes))


@both
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_quarter_turn_is_numpys(applied: Applier, quarters: int) -> None:
    images, masks = applied(IMAGES, MASKS, turned(90 * quarters))
    assert np.array_equal(bytes_of(images), np.rot90(IMAGES, quarters, axes=(1, 2)))
    assert masks is not None
    assert np.array_equal(masks.numpy(), np.rot90(MASKS, quarters, axes=(1, 2)))


@both
def test_a_shift_by_whole_pixels_is_an_index(applied: Applier) -> None:
    right, down = 5, 3
    views = geometry(*[[[1.0, 0.0, 2 * right / SIDE], [0.0, 1.0, 2 * down / SIDE]]] * len(IMAGES))
    images, masks = applied(IMAGES, MASKS, views)
    assert np.array_equal(bytes_of(images)[:, :-down, :-right], IMAGES[:, down:, right:])
    assert masks is not None
    assert np.array_equal(masks.numpy()[:, :-down, :-right], MASKS[:, down:, right:])


@both
def test_the_image_is_reflected_beyond_its_edges(applied: Applier) -> None:
    right = 5
    views = geometry(*[[[1.0, 0.0, 2 * right / SIDE], [0.0, 1.0, 0.0]]] * len(IMAGES))
    images, _ = applied(IMAGES, None, views)
    assert np.array_equal(bytes_of(images)[:, :, -right:], np.flip(IMAGES[:, :, -right:], axis=2))


@both
@pytest.mark.parametrize("seed", range(3))
def test_image_and_mask_move_together(applied: Applier, seed: int) -> None:
    views = drawn(ViewSpec(**GEOMETRY), seed=seed)
    images, masks = applied(np.repeat(MASKS[..., None], 3, axis=3), MASKS, views)
    assert masks is not None
    assert ((images[:, 0] > 0.5) == (masks > 127)).float().mean(dim=(1, 2)).min() > 0.99


@both
def test_colour_and_blur_leave_the_mask_alone(applied: Applier) -> None:
    _, masks = applied(IMAGES, MASKS, drawn(ViewSpec(rotation=0, flip=False, **COLOUR, blur=1)))
    assert masks is not None
    assert np.array_equal(masks.numpy(), MASKS)


@both
def test_a_mask_gets_no_new_class(applied: Applier) -> None:
    classes = np.random.default_rng(0).choice([0, 1, 2, 255], size=MASKS.shape).astype(np.uint8)
    _, masks = applied(IMAGES, classes, drawn(ViewSpec(**GEOMETRY)))
    assert masks is not None
    assert set(masks.unique().tolist()) <= {0, 1, 2, 255}


@both
def test_an_image_does_not_depend_on_its_batch(applied: Applier) -> None:
    views = drawn(ViewSpec(**GEOMETRY, **COLOUR, blur=0.5))
    together, _ = applied(IMAGES, None, views)
    alone = [applied(IMAGES[n : n + 1], None, views[n : n + 1])[0] for n in range(len(IMAGES))]
    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-5)


@both
def test_only_images_with_a_sigma_are_blurred(applied: Applier) -> None:
    chosen = torch.tensor([n % 2 == 0 for n in range(len(IMAGES))])
    images, _ = applied(IMAGES, None, Views(affine=drawn(NONE).affine, colour=None, blur=chosen.float()))
    same = [np.array_equal(after, before) for after, before in zip(bytes_of(images), IMAGES, strict=True)]
    assert same == (~chosen).tolist()


@both
@pytest.mark.parametrize(("side", "sigma"), [(16, 0.3), (SIDE, SIDE / 224), (224, 1.0), (448, 2.0)])
def test_the_blur_is_a_gaussian_of_one_pixel_at_224(applied: Applier, side: int, sigma: float) -> None:
    image = next(draw_lesions(1, size=max(side, 32), seed=2)).image[:side, :side]
    blur = Views(affine=torch.eye(2, 3)[None], colour=None, blur=torch.ones(1))
    expected = gaussian_filter(image.astype(np.float64), sigma=(sigma, sigma, 0), mode="mirror")
    blurred = 255 * applied(image[None].copy(), None, blur)[0][0].permute(1, 2, 0).numpy()
    assert np.abs(blurred - expected).mean() < 0.5
    assert np.abs(image - expected).mean() > 0.6 or sigma == 0.3  # the blur is there to be seen


def test_the_number_of_threads_changes_nothing() -> None:
    views = drawn(ViewSpec(**GEOMETRY, **COLOUR, blur=0.5))
    expected = apply_on_cpu(IMAGES, MASKS, views)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        given = apply_on_cpu(IMAGES, MASKS, views)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(given[0], expected[0])
    assert expected[1] is not None
    assert given[1] is not None
    assert torch.equal(given[1], expected[1])


@quick
@given(area=areas, flip=st.booleans(), seed=seeds)
def test_an_upright_crop_stays_inside_the_image(area: tuple[float, float], flip: bool, seed: int) -> None:
    affine = drawn(ViewSpec(rotation=0, flip=flip, scale=area), 16, seed).affine
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    assert (corners @ affine.transpose(1, 2)).abs().max() <= 1 + 1e-6


@quick
@given(spec=specs, seed=seeds)
def test_the_area_of_a_view_is_in_the_requested_range(spec: ViewSpec, seed: int) -> None:
    area = torch.linalg.det(drawn(spec, 16, seed).affine[:, :, :2]).abs()
    assert spec.scale[0] - 1e-5 <= area.min()
    assert area.max() <= spec.scale[1] + 1e-5


@quick
@given(spec=specs, seed=seeds)
def test_a_view_keeps_right_angles(spec: ViewSpec, seed: int) -> None:
    linear = drawn(spec, 8, seed).affine[:, :, :2]
    area = torch.linalg.det(linear).abs()
    expected = area[:, None, None] * torch.eye(2)
    torch.testing.assert_close(linear.transpose(1, 2) @ linear, expected, rtol=0, atol=1e-5)


@quick
@given(degrees=st.floats(0, 180), seed=seeds)
def test_no_view_is_rotated_by_more_than_the_limit(degrees: float, seed: int) -> None:
    linear = drawn(ViewSpec(rotation=degrees, flip=False), 16, seed).affine
    assert torch.atan2(linear[:, 1, 0], linear[:, 0, 0]).abs().max() <= math.radians(degrees) + 1e-5


def test_all_four_flips_are_drawn_equally_often() -> None:
    signs = drawn(ViewSpec(rotation=0), 4000).affine[:, [0, 1], [0, 1]]
    _, counts = signs.unique(dim=0, return_counts=True)
    assert len(counts) == 4
    assert (counts / 4000 - 0.25).abs().max() < 0.03  # four standard deviations


@quick
@given(saturation=st.floats(0.01, 0.99), hue=st.floats(0.01, 0.5), seed=seeds)
def test_grey_stays_grey_under_saturation_and_hue(saturation: float, hue: float, seed: int) -> None:
    views = drawn(ViewSpec(saturation=saturation, hue=hue), 8, seed)
    assert views.colour is not None
    for level in (0.0, 0.3, 1.0):
        grey = views.colour[:, :, :3] @ torch.full((3,), level) + views.colour[:, :, 3]
        torch.testing.assert_close(grey, torch.full_like(grey, level), rtol=0, atol=1e-5)


@quick
@given(hue=st.floats(0.01, 0.5), seed=seeds)
def test_hue_rotates_colours_about_the_grey_axis(hue: float, seed: int) -> None:
    views = drawn(ViewSpec(hue=hue), 16, seed)
    assert views.colour is not None
    turn = views.colour[:, :, :3]
    torch.testing.assert_close(turn.transpose(1, 2) @ turn, torch.eye(3).expand(16, 3, 3), rtol=0, atol=1e-5)
    cosine = (turn.diagonal(dim1=1, dim2=2).sum(dim=1) - 1) / 2  # trace of a rotation: 1 + 2 cos
    assert cosine.min() >= math.cos(2 * math.pi * hue) - 1e-5


@quick
@given(brightness=st.floats(0.01, 0.99), seed=seeds)
def test_brightness_is_a_factor_within_its_range(brightness: float, seed: int) -> None:
    views = drawn(ViewSpec(brightness=brightness), 16, seed)
    assert views.colour is not None
    factor = views.colour[:, 0, 0]
    assert 1 - brightness - 1e-6 <= factor.min() <= factor.max() <= 1 + brightness + 1e-6
    torch.testing.assert_close(views.colour[:, :, :3], factor[:, None, None] * torch.eye(3).expand(16, 3, 3))
    assert not views.colour[:, :, 3].any()


@quick
@given(contrast=st.floats(0.01, 0.99), seed=seeds)
def test_contrast_leaves_mid_grey_where_it_is(contrast: float, seed: int) -> None:
    views = drawn(ViewSpec(contrast=contrast), 16, seed)
    assert views.colour is not None
    after = views.colour[:, :, :3] @ torch.full((3,), 0.5) + views.colour[:, :, 3]
    torch.testing.assert_close(after, torch.full_like(after, 0.5), rtol=0, atol=1e-6)


@both
@pytest.mark.parametrize(
    ("setting", "adjust"), [("brightness", peer.adjust_brightness), ("saturation", peer.adjust_saturation)]
)
def test_brightness_and_saturation_are_torchvisions(
    applied: Applier, setting: str, adjust: Callable[[Tensor, float], Tensor]
) -> None:
    views = drawn(NONE.model_copy(update={setting: 0.9}), seed=3)
    assert views.colour is not None
    images, _ = applied(IMAGES, None, views)
    for n, image in enumerate(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255):
        # Saturation by s takes blue to s + (1 - s) · 0.114 of itself.
        blue = float(views.colour[n, 2, 2])
        factor = blue if setting == "brightness" else (blue - 0.114) / (1 - 0.114)
        assert (images[n] - adjust(image, factor)).abs().max() < 1.5 / 255


@quick
@given(spec=specs, seed=seeds)
def test_the_same_seed_draws_the_same_views_whatever_the_global_one(spec: ViewSpec, seed: int) -> None:
    torch.manual_seed(0)
    first = drawn(spec, 5, seed)
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    second = drawn(spec, 5, seed)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert_equal(first, second)


def test_other_seeds_draw_other_views() -> None:
    assert not torch.equal(drawn(ViewSpec(), seed=0).affine, drawn(ViewSpec(), seed=1).affine)


@quick
@given(
    spec=specs,
    part=st.builds(slice, st.none() | st.integers(0, 8), st.none() | st.integers(0, 8), st.none() | st.integers(1, 3)),
)
def test_a_slice_of_views_is_the_views_of_the_slice(spec: ViewSpec, part: slice) -> None:
    views = drawn(spec)
    some, _ = apply_on_cpu(IMAGES[part], None, views[part])
    assert torch.equal(some, apply_on_cpu(IMAGES, None, views)[0][part])


def assert_equal(left: Views, right: Views) -> None:
    for a, b in ((left.affine, right.affine), (left.colour, right.colour), (left.blur, right.blur)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.equal(a, b)


def test_solarisation_inverts_what_is_bright_in_both_appliers() -> None:
    chosen = torch.tensor([n % 2 == 0 for n in range(len(IMAGES))])
    views = Views(affine=drawn(NONE).affine, colour=None, blur=None, solarise=chosen)
    expected = np.where((IMAGES >= 128) & chosen.numpy()[:, None, None, None], 255 - IMAGES, IMAGES)
    for applied in (apply_on_cpu, on_device):
        assert np.array_equal(bytes_of(applied(IMAGES, None, views)[0]), expected)


def test_grey_removes_the_colour_and_keeps_the_luma() -> None:
    images, _ = apply_on_cpu(IMAGES, None, drawn(ViewSpec(rotation=0, flip=False, grey=1)))
    assert (images.amax(dim=1) - images.amin(dim=1)).max() < 2 / 255
    luma = (IMAGES * np.array([0.299, 0.587, 0.114])).sum(axis=3)
    assert np.abs(255 * images[:, 0].numpy() - luma).max() <= 1


def test_probabilities_are_the_observed_frequencies() -> None:
    spec = ViewSpec(rotation=0, flip=False, brightness=0.4, jitter=0.8, grey=0.2, blur=0.5, solarise=0.1)
    views = drawn(spec, 4000)
    assert views.colour is not None
    assert views.blur is not None
    assert views.solarise is not None
    grey = (views.colour[:, 0, :3] - views.colour[:, 1, :3]).abs().amax(dim=1) < 1e-6
    still = (views.colour[:, :, :3] @ torch.ones(3) - 1).abs().amax(dim=1) < 1e-6
    for share, expected in (
        (grey, 0.2), (still, 0.2), (views.blur > 0, 0.5), (views.solarise, 0.1)
    ):  # fmt: skip
        assert abs(share.float().mean() - expected) < 0.03  # four standard deviations


@quick
@given(area=areas, seed=seeds)
def test_the_sides_of_a_crop_are_in_the_requested_ratio_and_inside_the_image(
    area: tuple[float, float], seed: int
) -> None:
    affine = drawn(ViewSpec(rotation=0, flip=False, scale=area, aspect=(0.5, 2)), 16, seed).affine
    width, height = affine[:, 0, 0], affine[:, 1, 1]
    assert max(width.max(), height.max()) <= 1 + 1e-6
    assert (width / height).min() >= 0.5 - 1e-4
    assert (width / height).max() <= 2 + 1e-4
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
    assert (corners @ affine.transpose(1, 2)).abs().max() <= 1 + 1e-5
    whole = (width < 1) & (height < 1)
    product = (width * height)[whole]
    assert ((product >= area[0] - 1e-4) & (product <= area[1] + 1e-4)).all()


def test_views_of_another_size_are_the_resized_image() -> None:
    """One of half the size that changes nothing else is what OpenCV's bilinear resizing gives."""
    half = SIDE // 2
    expected = np.stack([cv2.resize(image, (half, half), interpolation=cv2.INTER_LINEAR) for image in IMAGES])
    views = drawn(NONE)
    on_cpu, masks = apply_on_cpu(IMAGES, MASKS, views, size=half)
    assert masks is not None
    assert on_cpu.shape == (len(IMAGES), 3, half, half)
    assert masks.shape == (len(IMAGES), half, half)
    there, _ = apply_on_device(torch.from_numpy(IMAGES), None, views, size=half)
    for given_pixels in (on_cpu, there):
        assert np.abs(bytes_of(given_pixels).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("side", [32, 96, 130])
def test_both_appliers_agree_on_several_views_of_another_size(side: int) -> None:
    spec = ViewSpec(**GEOMETRY, **COLOUR, aspect=(0.75, 1.33), blur=0.5, blur_sigma=(0.1, 2), grey=0.2)
    views = join_views([drawn(spec, seed=seed) for seed in range(3)])
    on_cpu, cpu_masks = apply_on_cpu(IMAGES, MASKS, views, size=side)
    there, there_masks = apply_on_device(torch.from_numpy(IMAGES), torch.from_numpy(MASKS), views, size=side)
    assert on_cpu.shape == there.shape == (3 * len(IMAGES), 3, side, side)
    assert (255 * (on_cpu - there).abs()).mean(dim=(1, 2, 3)).max() < TOLERANCE
    assert cpu_masks is not None
    assert there_masks is not None
    assert (cpu_masks == there_masks).float().mean(dim=(1, 2)).min() > 0.98


@both
def test_several_views_are_view_major(applied: Applier) -> None:
    parts = [drawn(NONE), drawn(ViewSpec(**GEOMETRY, **COLOUR, blur=1, solarise=0.5), seed=1)]
    together, _ = applied(IMAGES, None, join_views(parts))
    apart = torch.cat([applied(IMAGES, None, part)[0] for part in parts])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-5)
    assert np.array_equal(bytes_of(together[: len(IMAGES)]), IMAGES)


def test_joined_views_can_be_sliced_apart() -> None:
    parts = [drawn(NONE), drawn(ViewSpec(**COLOUR, blur=0.5)), drawn(ViewSpec(solarise=0.5))]
    joined, n = join_views(parts), len(IMAGES)
    assert len(joined) == 3 * n
    assert torch.equal(joined[n : 2 * n].affine, parts[1].affine)
    assert joined.colour is not None
    assert torch.equal(joined.colour[:n], torch.eye(3, 4).expand(n, 3, 4))
    assert torch.equal(joined.colour[n : 2 * n], parts[1].colour)
    assert joined.blur is not None
    assert not joined.blur[:n].any()
    assert joined.solarise is not None
    assert not joined.solarise[: 2 * n].any()
