"""Shares of foreground are kept by the content of masks: a check makes them, a split reads no mask again."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from s4mi.data.checks.check import check_path
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.loading.mask_shares import SHARES_NAME, MaskShares, forget_mask_shares
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import foreground_share, read_mask
from s4mi.data.spec import MaskKey
from s4mi.recipes import split
from s4mi.recipes.split import split_dataset

VALUES: dict[MaskKey, str] = {0: "background", 255: "lesion"}
MASKS, DIGESTS = [Path("a.png"), Path("b.png"), Path("c.png")], ["aa" * 16, "bb" * 16, "cc" * 16]


def test_shares_are_found_again_by_content_and_meaning_of_the_values(tmp_path: Path) -> None:
    shares = MaskShares(tmp_path, VALUES)
    assert shares.read(MASKS, DIGESTS) == [None] * 3
    shares.add(MASKS[:2], DIGESTS[:2], [0.25, 1.0])
    assert shares.read([Path("z.png"), *MASKS[1:]], DIGESTS) == [0.25, 1.0, None]
    swapped = dict(reversed(VALUES.items()))  # the first is the background
    others: list[dict[MaskKey, str]] = [VALUES | {255: "other"}, swapped]
    assert [MaskShares(tmp_path, other).read(MASKS, DIGESTS) for other in others] == [[None] * 3] * 2
    assert stat.S_IMODE((tmp_path / SHARES_NAME).stat().st_mode) == 0o600


def test_a_damaged_database_is_begun_anew(tmp_path: Path) -> None:
    shares = MaskShares(tmp_path, VALUES)
    for act in (lambda: shares.read(MASKS, DIGESTS), lambda: forget_mask_shares(tmp_path, DIGESTS)):
        (tmp_path / SHARES_NAME).write_bytes(b"no database" * 100)
        act()
        shares.add(MASKS, DIGESTS, [0.5] * 3)
        assert shares.read(MASKS, DIGESTS) == [0.5] * 3
    (tmp_path / SHARES_NAME).write_bytes(b"no database" * 100)
    shares.add(MASKS, DIGESTS, [0.5] * 3)
    assert shares.read(MASKS, DIGESTS) == [0.5] * 3


def test_a_share_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    shares = MaskShares(tmp_path, VALUES)
    shares.add(MASKS, DIGESTS, [0.5] * 3)
    with closing(sqlite3.connect(tmp_path / SHARES_NAME)) as database, database:
        database.execute("UPDATE shares SET share = 'x'")
    assert shares.read(MASKS, DIGESTS) == [None] * 3


def test_erased_masks_leave_no_trace(tmp_path: Path) -> None:
    shares = MaskShares(tmp_path, VALUES)
    shares.add(MASKS, DIGESTS, [0.5] * 3)
    forget_mask_shares(tmp_path, DIGESTS[1:2])
    assert shares.read(MASKS, DIGESTS) == [0.5, None, 0.5]
    assert bytes.fromhex(DIGESTS[1]) not in (tmp_path / SHARES_NAME).read_bytes()
    forget_mask_shares(tmp_path / "nowhere", DIGESTS)


@pytest.mark.parametrize("checked", [True, False])
def test_a_split_reads_no_mask_whose_share_is_kept(
    lesions: Path, tmp_path: Path, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def divided(cache: Path) -> str:
        return split_dataset(lesions, division=None, kind="segmentation", cache=cache).split.hash

    fresh = divided(tmp_path / "other")
    if checked:
        check_path(lesions, cache=tmp_path)
    else:
        divided(tmp_path)
    manifest = load_manifest(lesions)
    masks = [mask for row in manifest.rows if (mask := row.mask) is not None]
    digests = FileHashes(tmp_path / DATABASE_NAME).of(masks)
    kept = MaskShares(tmp_path, manifest.spec.mask_values).read(masks, digests)
    naive = [foreground_share(read_mask(mask, manifest.spec.mask_values)) for mask in masks]
    np.testing.assert_array_equal(kept, naive)
    monkeypatch.setattr(split, "_share", lambda *_, **__: "was read")
    assert divided(tmp_path) == fresh
