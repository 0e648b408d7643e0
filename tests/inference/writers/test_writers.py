"""Output files: in the format of their image, complete or absent, and the same after an interruption."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dicom_files import write_dicom
from s4mi.data.formats.intensity import Pixels
from s4mi.data.loading.preprocessing import Preprocessing
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError
from s4mi.inference.load import LoadedModels
from s4mi.inference.predictor import ModelInfo
from s4mi.inference.writers.mask_files import write_atomically
from s4mi.inference.writers.resumable_csv import ResumableCsv
from s4mi.recipes import predict
from s4mi.recipes.predict import predict_run
from s4mi.records import TaskKind

SIZE = 32


class Threshold:
    """A pixel is `bright` if it is above medium grey; an image if its mean is."""

    calibration = None

    def __init__(self, kind: TaskKind, channels: str = "rgb") -> None:
        spec = DatasetSpec.model_validate(
            {
                "name": "x",
                "tasks": ["segmentation"],
                "mask_values": {0: "background", 255: "bright"},
                "channels": channels,
                "intensity": "range",
            }
        )
        self.info = ModelInfo("threshold", kind, ("background", "bright"), spec, Preprocessing(SIZE), digest="1")

    def logits(self, inputs: Pixels) -> NDArray[np.float32]:
        bright = inputs.astype(np.float32).mean(axis=3)[:, None] - 127.5
        pixels = np.concatenate([-bright, bright], axis=1)
        return pixels if self.info.kind == "segmentation" else pixels.mean(axis=(2, 3)) / 50


@pytest.fixture
def segmenter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threshold]:
    model = Threshold("segmentation")
    monkeypatch.setattr(predict, "load_models", lambda *_, **__: LoadedModels((model,), ()))
    return model


@pytest.fixture
def classifier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Threshold]:
    model = Threshold("multiclass")
    monkeypatch.setattr(predict, "load_models", lambda *_, **__: LoadedModels((model,), ()))
    return model


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def blocks(seed: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Random blocks of 4 pixels along the first two axes, which resizing by integer factors preserves."""
    small = np.random.default_rng(seed).random((shape[0] // 4, shape[1] // 4, *shape[2:])) > 0.5
    return small.repeat(4, axis=0).repeat(4, axis=1)


def many(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(blocks(number, (SIZE, SIZE)).astype(np.uint8) * 255).save(folder / f"{number}.png")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR", "PIR"])
def test_a_mask_of_a_volume_is_aligned_with_its_voxels(tmp_path: Path, segmenter: Threshold, axes: str) -> None:
    orientation = nibabel.orientations.axcodes2ornt(axes)
    affine = np.zeros((4, 4))
    for axis, (row, sign) in enumerate(orientation):
        affine[int(row), axis] = sign * (1.0, 2.0, 3.0)[int(row)]
    affine[:, 3] = (10, -20, 5, 1)
    truth = np.zeros([{0: SIZE, 1: SIZE, 2: 3}[int(row)] for row, _ in orientation], dtype=bool)
    shown = blocks(0, (SIZE, SIZE, 3))  # in the standard orientation
    back = nibabel.orientations.ornt_transform(nibabel.orientations.axcodes2ornt("RAS"), orientation)
    truth[:] = nibabel.orientations.apply_orientation(shown, back)
    nibabel.save(nibabel.Nifti1Image((truth * 60000).astype(np.uint16), affine), tmp_path / "v.nii.gz")
    predict_run(tmp_path, [tmp_path / "v.nii.gz"], tmp_path / "out", form="match")
    made = nibabel.load(tmp_path / "out" / "v.nii.gz")
    np.testing.assert_array_equal(np.asarray(made.dataobj), truth * 255)
    np.testing.assert_allclose(made.affine, affine)
    measured = rows(tmp_path / "out" / "measurements.csv")
    assert [row["id"] for row in measured] == [f"v.nii.gz#{n:03d}" for n in range(3)]
    for number, row in enumerate(measured):
        assert int(row["pixels"]) == shown[:, :, number].sum()
        assert float(row["area_mm2"]) == pytest.approx(2.0 * int(row["pixels"]))


def test_tiff_pages_become_pages_or_one_png_each(tmp_path: Path, segmenter: Threshold) -> None:
    pages = np.stack([blocks(n, (SIZE, 2 * SIZE)) for n in range(4)])
    tifffile.imwrite(tmp_path / "s.tif", pages.astype(np.uint8) * 255, photometric="minisblack")
    predict_run(tmp_path, [tmp_path / "s.tif"], tmp_path / "match", form="match")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "match" / "s.tif"), pages * 255)
    predict_run(tmp_path, [tmp_path / "s.tif"], tmp_path / "png", overlay=True)
    for number in range(4):
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / f"png/s_{number:03d}.png")), pages[number] * 255)
        assert (tmp_path / f"png/overlays/s_{number:03d}.png").is_file()


@pytest.mark.parametrize("cosines", [[1, 0, 0, 0, 1, 0], [0, -1, 0, 1, 0, 0], [-1, 0, 0, 0, -1, 0]], ids=str)
def test_a_dicom_image_gets_a_dicom_seg_object(tmp_path: Path, segmenter: Threshold, cosines: list[int]) -> None:
    pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
    truth = blocks(0, (SIZE, SIZE))
    uid = pydicom.uid.generate_uid
    write_dicom(
        tmp_path / "ct.dcm", (truth * 60000).astype(np.uint16), PatientID="x", PatientName="x", PatientBirthDate="",
        PatientSex="", StudyInstanceUID=uid(), SeriesInstanceUID=uid(), FrameOfReferenceUID=uid(), StudyDate="",
        StudyTime="", StudyID="1", AccessionNumber="", ReferringPhysicianName="", SeriesNumber=1, InstanceNumber=1,
        Modality="CT", PixelSpacing=[0.5, 0.5], SliceThickness=1, ImagePositionPatient=[0, 0, 0],
        ImageOrientationPatient=cosines,
    )  # fmt: skip
    result = predict_run(tmp_path, [tmp_path / "ct.dcm"], tmp_path / "out", form="match")
    assert (result.predicted, result.failed) == (1, 0)
    made = pydicom.dcmread(tmp_path / "out" / "ct.dcm")
    assert made.SOPClassUID == pydicom.uid.SegmentationStorage
    assert made.SegmentSequence[0].SegmentLabel == "bright"
    np.testing.assert_array_equal(made.pixel_array, truth)
    assert float(rows(tmp_path / "out" / "measurements.csv")[0]["area_mm2"]) == pytest.approx(truth.sum() / 4)


def test_the_masks_of_one_series_are_one_series(tmp_path: Path, segmenter: Threshold) -> None:
    pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
    uid = pydicom.uid.generate_uid
    shared = {name: uid() for name in ("StudyInstanceUID", "FrameOfReferenceUID")}
    empty = dict.fromkeys(
        ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"), ""
    )
    (tmp_path / "in").mkdir()
    for series, number in ((1, 1), (1, 2), (2, 1)):
        write_dicom(
            tmp_path / "in" / f"{series}{number}.dcm", (blocks(0, (SIZE, SIZE)) * 60000).astype(np.uint16), **shared,
            **empty, SeriesInstanceUID=f"1.2.{series}", SeriesNumber=series, InstanceNumber=number, PatientID="x",
            PatientName="x", StudyID="1", Modality="CT", PixelSpacing=[0.5, 0.5], SliceThickness=1,
            ImagePositionPatient=[0, 0, number], ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        )  # fmt: skip
    predict_run(tmp_path, [tmp_path / "in"], tmp_path / "out", form="match")
    made = [pydicom.dcmread(tmp_path / "out" / f"{name}.dcm") for name in ("11", "12", "21")]
    assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID != made[2].SeriesInstanceUID
    assert len({one.SOPInstanceUID for one in made}) == 3
    assert [one.InstanceNumber for one in made] == [1, 2, 1]


def test_ultrasound_without_a_frame_of_reference_is_listed_with_another_format(
    tmp_path: Path, segmenter: Threshold
) -> None:
    pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
    uid = pydicom.uid.generate_uid
    write_dicom(
        tmp_path / "us.dcm", np.zeros((3, SIZE, SIZE), np.uint8), PatientID="x", PatientName="x", Modality="US",
        StudyInstanceUID=uid(), SeriesInstanceUID=uid(), InstanceNumber=1,
    )  # fmt: skip
    result = predict_run(tmp_path, [tmp_path / "us.dcm"], tmp_path / "out", form="match")
    assert result.failed >= 1
    assert "--format png" in rows(tmp_path / "out" / "errors.csv")[0]["error"]
    assert predict_run(tmp_path, [tmp_path / "us.dcm"], tmp_path / "png", form="png").failed == 0


def test_a_dicom_image_without_required_attributes_is_listed_as_error(tmp_path: Path, segmenter: Threshold) -> None:
    pytest.importorskip("highdicom", reason="highdicom is in the extra `dicom`")
    write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), np.uint16))
    result = predict_run(tmp_path, [tmp_path / "a.dcm"], tmp_path / "out", form="match")
    assert (result.predicted, result.failed) == (0, 1)
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert re.search(r"cannot be the source of a DICOM-SEG \(it lacks \w+\)", error["error"])
    assert "--format png" in error["error"]
    assert not (tmp_path / "out" / "a.dcm").exists()


def test_measurements_equal_those_of_scipy_on_the_written_mask(tmp_path: Path, segmenter: Threshold) -> None:
    Image.fromarray(blocks(3, (64, 96)).astype(np.uint8) * 200).save(tmp_path / "a.png")
    predict_run(tmp_path, [tmp_path / "a.png"], tmp_path / "out")
    mask = np.array(Image.open(tmp_path / "out" / "a.png")) == 255
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    (row,) = rows(tmp_path / "out" / "measurements.csv")
    assert (row["id"], row["class"], row["area_mm2"]) == ("a.png", "bright", "")
    assert (int(row["pixels"]), int(row["components"])) == (mask.sum(), count)
    assert int(row["largest_component"]) == np.bincount(labels.ravel())[1:].max()
    assert float(row["share"]) == pytest.approx(mask.mean(), abs=1e-6)
    centre = float(row["centre_row"]), float(row["centre_column"])
    assert centre == pytest.approx(ndimage.center_of_mass(mask), abs=0.01)
    assert 0.5 < float(row["probability"]) <= 1


def test_an_absent_class_has_no_centre(tmp_path: Path, segmenter: Threshold) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    predict_run(tmp_path, [tmp_path / "a.png"], tmp_path / "out")
    (row,) = rows(tmp_path / "out" / "measurements.csv")
    assert [row[name] for name in ("pixels", "components", "centre_row", "probability")] == ["0", "0", "", ""]


@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_resumed_prediction_equals_an_uninterrupted_one(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str, after: int
) -> None:
    request.getfixturevalue(kind)
    images = many(tmp_path / "images")
    overlay = kind == "segmenter"
    predict_run(tmp_path, [images], tmp_path / "whole", overlay=overlay)

    class Stop(Exception):  # noqa: N818
        pass

    def stop(done: int, total: int) -> None:
        if done > after:
            raise Stop

    if after < 6:
        with pytest.raises(Stop):
            predict_run(tmp_path, [images], tmp_path / "out", overlay=overlay, progress=stop)
    else:
        predict_run(tmp_path, [images], tmp_path / "out", overlay=overlay)
    table = tmp_path / "out" / ("measurements.csv" if overlay else "predictions.csv")
    with table.open("a") as file:
        file.write("5.png,0.3")  # an incomplete line, as left by a killed process
    result = predict_run(tmp_path, [images], tmp_path / "out", overlay=overlay, resume=True)
    assert result.kept == min(after + 1, 6)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_deleted_mask_is_predicted_again(tmp_path: Path, segmenter: Threshold) -> None:
    images = many(tmp_path / "images")
    predict_run(tmp_path, [images], tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "3.png").unlink()
    assert predict_run(tmp_path, [images], tmp_path / "out", resume=True).kept == 5
    assert contents(tmp_path / "out") == before


def test_predictions_with_different_settings_are_not_mixed(tmp_path: Path, segmenter: Threshold) -> None:
    images = many(tmp_path / "images")
    predict_run(tmp_path, [images], tmp_path / "out")
    with pytest.raises(S4miError, match="made with tta False, not True; leave out --resume") as error:
        predict_run(tmp_path, [images], tmp_path / "out", tta=True, resume=True)
    assert "\n" not in str(error.value)
    segmenter.info = ModelInfo(**{**vars(segmenter.info), "digest": "2"})
    with pytest.raises(S4miError, match="made with models 1, not 2"):
        predict_run(tmp_path, [images], tmp_path / "out", resume=True)
    assert predict_run(tmp_path, [images], tmp_path / "out").kept == 0


def test_colour_images_are_refused_by_a_model_trained_on_greyscale_images(tmp_path: Path, segmenter: Threshold) -> None:
    segmenter.info = Threshold("segmentation", "grey").info
    Image.new("RGB", (9, 9), (200, 10, 10)).save(tmp_path / "colour.png")
    Image.new("RGB", (9, 9), (99, 99, 99)).save(tmp_path / "grey.png")
    result = predict_run(tmp_path, [tmp_path / "colour.png", tmp_path / "grey.png"], tmp_path / "out")
    assert (result.predicted, result.failed) == (1, 1)
    (error,) = rows(tmp_path / "out" / "errors.csv")
    assert (
        "is a colour image, but threshold was trained on greyscale images only; convert it to greyscale"
        in error["error"]
    )


def test_images_with_equal_names_in_two_folders_have_their_path_as_id(tmp_path: Path, classifier: Threshold) -> None:
    for name in ("one", "two"):
        many(tmp_path / name, count=1)
    predict_run(tmp_path, [tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    ids = [row["id"] for row in rows(tmp_path / "out" / "predictions.csv")]
    assert ids == [(tmp_path / name / "0.png").as_posix() for name in ("one", "two")]


def test_a_file_is_complete_or_absent(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.png", fail)
    assert contents(tmp_path) == {"a.png": b"old"}


def test_rows_of_an_id_are_kept_only_if_complete(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,x\na,1\na,2\nb,1\n"c, d",1\n"c, d",2\nz,1\nz,2\n')
    table = ResumableCsv(path, ("id", "x"), ids=["c, d", "b", "a"], rows_per_id=2, resume=True)
    assert [table.has([name]) for name in ("a", "b", "c, d", "z")] == [True, False, True, False]
    with table:
        table.add([("b", "3"), ("b", "4")])
    assert path.read_text() == 'id,x\n"c, d",1\n"c, d",2\nb,3\nb,4\na,1\na,2\n'


@pytest.mark.parametrize("overlap", [-0.1, 1.0])
def test_windows_that_overlap_wholly_are_refused(tmp_path: Path, segmenter: Threshold, overlap: float) -> None:
    with pytest.raises(S4miError, match="--overlap must be at least 0 and below 1"):
        predict_run(tmp_path, [many(tmp_path / "images")], tmp_path / "out", overlap=overlap)
