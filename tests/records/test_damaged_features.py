"""Stored features of training images: whatever is damaged in the file is one line."""

from pathlib import Path

import numpy as np
import pytest

from s4mi.errors import S4miError
from s4mi.records.training_features import (
    TRAINING_FEATURES_NAME,
    TrainingFeatures,
    read_training_features,
    write_training_features,
)


def test_every_damaged_byte_is_read_as_before_or_said_in_one_line(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    write_training_features(TrainingFeatures(features, 0.5), tmp_path)
    path = tmp_path / TRAINING_FEATURES_NAME
    sound = path.read_bytes()
    before = read_training_features(tmp_path)
    assert before is not None
    said = read = 0
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x20]) + sound[place + 1 :])
        try:
            found = read_training_features(tmp_path)
        except S4miError as error:
            said += "not valid features of training images" in str(error)
        else:
            assert found is not None
            np.testing.assert_array_equal(found.features, before.features)
            read += 1
    assert read + said == len(sound)
    assert said > len(sound) / 3
    path.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(S4miError, match="remove it to predict without them"):
        read_training_features(tmp_path)
