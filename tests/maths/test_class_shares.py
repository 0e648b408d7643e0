"""Shares of classes in cells, against counting pixels."""

import torch

from s4mi.maths.class_shares import class_shares
from s4mi.records import IGNORE


def test_shares_are_counted_pixels_of_a_cell() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (2, 12, 12), generator=generator)
    masks[torch.rand(2, 12, 12, generator=generator) < 0.3] = IGNORE
    shares = class_shares(masks, 3, (3, 3))
    for image in range(2):
        for row in range(3):
            for column in range(3):
                cell = masks[image, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                counted = torch.tensor([float((cell == k).sum()) / 16 for k in range(3)])
                torch.testing.assert_close(shares[image, :, row, column], counted)


def test_a_cell_without_annotation_has_no_share() -> None:
    masks = torch.full((1, 4, 4), IGNORE)
    masks[0, :2] = 1
    shares = class_shares(masks, 2, (2, 1))
    assert shares[0, :, :, 0].T.tolist() == [[0.0, 1.0], [0.0, 0.0]]


def test_a_grid_that_does_not_divide_the_image_covers_all_of_it() -> None:
    shares = class_shares(torch.ones(1, 10, 10, dtype=torch.int64), 2, (4, 4))
    torch.testing.assert_close(shares[:, 1], torch.ones(1, 4, 4))
