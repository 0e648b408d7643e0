"""Files of every kind that s4mi reads, each made by another library and read back: the table docs/reference/formats.md.

Run this file to write the page: PYTHONPATH=src python tests/formats_conformance.py
"""

import base64
import io
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highdicom
import nibabel
import nrrd
import numpy as np
import pycocotools.mask
import pydicom
import tifffile
from PIL import Image, ImageDraw
from pydicom.pixels import get_encoder

from dicom_files import write_dicom
from s4mi.data.annotations.label_studio_rle import encode_brush
from s4mi.data.annotations.rasterise import Rasteriser
from s4mi.data.annotations.read import read_annotations
from s4mi.data.files import read_frames
from s4mi.data.formats import dicom_seg, nrrd_seg
from s4mi.data.masks import read_mask_frame
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec
from s4mi.errors import S4miError

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "formats.md"
PACKAGES = ("pillow", "tifffile", "imagecodecs", "pydicom", "highdicom", "nibabel", "pynrrd", "pycocotools", "numpy")
EXACT, REFUSED = "exact", "refused"
HEIGHT, WIDTH = 24, 32
Read = tuple[list[np.ndarray], list[np.ndarray]]
"""What was read, and what it must be."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: the format, what of it, how it is used, and how to make, read and expect it below a folder."""

    format: str
    kind: str
    use: str
    read: Callable[[Path], Read]
    refused: str = ""

    def result(self, folder: Path) -> str:
        """Read it: `exact`, `refused: …` with the message that it must have, or what is wrong."""
        folder.mkdir(parents=True)
        try:
            found, expected = self.read(folder)
        except S4miError as error:
            if self.refused and self.refused in str(error):
                return f"{REFUSED}: {self.refused}"
            return f"fails: {error}"
        if self.refused:
            return "read although it must be refused"
        same = len(found) == len(expected) and all(map(np.array_equal, found, expected))
        return EXACT if same else "differs"


def picture(dtype: str = "u1", channels: int = 0) -> np.ndarray:
    info = np.iinfo(dtype) if dtype[0] in "iu" else None
    shape = (HEIGHT, WIDTH, channels) if channels else (HEIGHT, WIDTH)
    generator = np.random.default_rng(0)
    if info is None:
        return generator.normal(size=shape).astype(dtype)
    return generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def labels() -> np.ndarray:
    """0, 1 and 2, without any symmetry."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:12, 4:20] = 1
    mask[6:9, 15:28] = 2
    return mask


def frames_of(path: Path) -> list[np.ndarray]:
    return [frame.values for frame in read_frames(path)]


def by_pillow(
    name: str, pixels: np.ndarray, mode: str | None = None, *, shown: np.ndarray | None = None, **options: Any
) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        image = Image.fromarray(pixels)
        image = image.convert(mode) if mode else image
        image.save(folder / name, **options)
        expected = np.asarray(image.convert("RGB") if mode == "P" else image)
        return frames_of(folder / name), [expected if shown is None else shown]

    return read


def lossy(name: str, mode: str) -> Callable[[Path], Read]:
    """As Pillow decodes it, as RGB or grey."""

    def read(folder: Path) -> Read:
        Image.fromarray(picture(channels=3)).convert(mode).save(folder / name)
        with Image.open(folder / name) as image:
            expected = np.asarray(image if mode == "L" else image.convert("RGB"))
        return frames_of(folder / name), [expected]

    return read


def by_tifffile(
    pixels: np.ndarray, *, pages: bool = False, shown: np.ndarray | None = None, **options: Any
) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        tifffile.imwrite(folder / "a.tif", pixels, **options)
        expected = pixels if shown is None else shown
        return frames_of(folder / "a.tif"), list(expected) if pages else [expected]

    return read


def as_dicom(
    pixels: np.ndarray, expected: np.ndarray | None = None, syntax: str = "", **attributes: Any
) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        path = write_dicom(folder / "a.dcm", pixels, **attributes)
        if syntax:
            dataset = pydicom.dcmread(path)
            dataset.compress(getattr(pydicom.uid, syntax))
            dataset.save_as(path)
        values = pixels if expected is None else expected
        many = pixels.ndim == 3 and attributes.get("SamplesPerPixel", 1) == 1
        return frames_of(path), list(values) if many else [values]

    return read


RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
VOLUME = np.random.default_rng(1).integers(-1000, 3000, (HEIGHT, WIDTH, 3)).astype(np.int16)
RAS = np.diag([0.5, 0.75, 2, 1.0])
LPS = {"space": "left-posterior-superior", "space directions": np.diag([0.5, 0.75, 2.0]), "space origin": [1, 2, 3]}


def as_nifti(values: np.ndarray, expected: list[np.ndarray], **options: Any) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        image = nibabel.Nifti1Image(values, options.get("affine", RAS))
        if "slope" in options:
            image.header.set_slope_inter(options["slope"], 0)
        nibabel.save(image, folder / "a.nii.gz")
        return frames_of(folder / "a.nii.gz"), expected

    return read


def as_nrrd(values: np.ndarray, expected: list[np.ndarray], **fields: Any) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        nrrd.write(str(folder / "a.nrrd"), values, fields)
        return frames_of(folder / "a.nrrd"), expected

    return read


def detached(folder: Path) -> Read:
    nrrd.write(str(folder / "a.nhdr"), VOLUME, dict(LPS), detached_header=True)  # pynrrd adds fields to the header
    (folder / "a.nhdr").rename(folder / "a.nrrd")
    return frames_of(folder / "a.nrrd"), []


def as_npy(values: np.ndarray, expected: list[np.ndarray]) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        np.save(folder / "a.npy", values)
        return frames_of(folder / "a.npy"), expected

    return read


def slices(ras: np.ndarray) -> list[np.ndarray]:
    """Slices of a volume (right, anterior, superior), the patient's right at the left and anterior at the top."""
    return [ras[::-1, ::-1, n].T for n in range(ras.shape[2])]


def images() -> Iterator[Kind]:
    grey, colour = picture(), picture(channels=3)
    for kind, read in {
        "grey, 1 bit": by_pillow("a.png", picture() > 99, shown=255 * (picture() > 99)),
        "grey, 8 bits": by_pillow("a.png", grey), "grey, 16 bits": by_pillow("a.png", picture("u2")),
        "RGB": by_pillow("a.png", colour),
        "RGB and alpha, dropped": by_pillow("a.png", picture(channels=4), shown=picture(channels=4)[:, :, :3]),
        "palette": by_pillow("a.png", colour, "P"),
    }.items():  # fmt: skip
        yield Kind("PNG", kind, "image", read)
    for kind, mode in {"grey": "L", "RGB": "RGB", "CMYK": "CMYK"}.items():
        yield Kind("JPEG", kind, "image", lossy("a.jpg", mode))
    yield Kind("BMP", "RGB", "image", by_pillow("a.bmp", colour))
    yield Kind("WebP", "lossless RGB", "image", by_pillow("a.webp", colour, lossless=True))
    stack = np.stack([picture("u2"), picture("u2")[::-1]])
    for dtype in ("u1", "u2", "i2", "u4", "f4"):
        yield Kind("TIFF", f"grey, {np.dtype(dtype)}", "image", by_tifffile(picture(dtype)))
    yield Kind("TIFF", "RGB", "image", by_tifffile(colour, photometric="rgb"))
    yield Kind("TIFF", "pages", "image", by_tifffile(stack, pages=True))
    for bits in ("u1", "u2"):
        shown = np.iinfo(bits).max - picture(bits)
        yield Kind("TIFF", f"white is zero, {np.dtype(bits)}", "image",
                   by_tifffile(picture(bits), photometric="miniswhite", shown=shown))  # fmt: skip
    yield Kind("TIFF", "deflate, tiles", "image", by_tifffile(picture("u2"), compression="zlib", tile=(16, 16)))
    for kind, bits, syntax in (
        ("MONOCHROME2, uncompressed", "u2", ""), ("MONOCHROME2, signed", "i2", ""),
        ("MONOCHROME2, RLE lossless", "u2", "RLELossless"), ("MONOCHROME2, JPEG-LS lossless", "u2", "JPEGLSLossless"),
    ):  # fmt: skip
        if syntax in ("RLELossless", "JPEGLSLossless") and not get_encoder(getattr(pydicom.uid, syntax)).is_available:
            continue
        yield Kind("DICOM", kind, "image", as_dicom(picture(bits), syntax=syntax))
    yield Kind("DICOM", "rescale slope and intercept", "image",
               as_dicom(picture("u2"), picture("u2") * 2.0 - 1024, RescaleSlope=2, RescaleIntercept=-1024))  # fmt: skip
    yield Kind("DICOM", "RGB", "image", as_dicom(colour, **RGB))
    yield Kind("DICOM", "frames", "image", as_dicom(stack))
    yield Kind("NIfTI", "volume, int16", "image", as_nifti(VOLUME, slices(VOLUME)))
    lps = np.diag([-0.5, -0.75, 2, 1.0])
    yield Kind("NIfTI", "volume, towards left and posterior", "image",
               as_nifti(VOLUME, slices(VOLUME[::-1, ::-1]), affine=lps))  # fmt: skip
    yield Kind("NIfTI", "slope", "image", as_nifti(VOLUME, slices(VOLUME.astype(np.float32) * 2), slope=2))
    yield Kind("NIfTI", "four dimensions", "image", as_nifti(VOLUME[..., None].repeat(2, 3), []), "has 4 dimensions")
    turned = slices(VOLUME[::-1, ::-1])
    for encoding in ("raw", "gzip", "bzip2"):
        yield Kind("NRRD", f"volume, {encoding}", "image", as_nrrd(VOLUME, turned, **LPS, encoding=encoding))
    ras = {**LPS, "space": "right-anterior-superior"}
    yield Kind("NRRD", "volume, towards right and anterior", "image", as_nrrd(VOLUME, slices(VOLUME), **ras))
    yield Kind("NRRD", "no orientation", "image", as_nrrd(VOLUME, [VOLUME[:, :, n].T for n in range(3)]))
    yield Kind("NRRD", "RGB", "image",
               as_nrrd(colour.transpose(2, 1, 0), [colour], kinds=["RGB-color", "domain", "domain"]))  # fmt: skip
    yield Kind("NRRD", "sequence of volumes", "image",
               as_nrrd(VOLUME[None].repeat(9, 0), [], kinds=["list", *["domain"] * 3]),
               "that are not colours")  # fmt: skip
    yield Kind("NRRD", "pixels in another file", "image", detached, "has its pixels in another file")
    yield Kind("NumPy", "(H, W), float32", "image", as_npy(picture("f4"), [picture("f4")]))
    yield Kind("NumPy", "(3, H, W)", "image", as_npy(colour.transpose(2, 0, 1), [colour]))
    yield Kind("NumPy", "stack (N, H, W)", "image", as_npy(stack, list(stack)))


def mask_png(mode: str) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        mask = labels() > 0 if mode == "1" else labels()
        image = Image.fromarray(mask)
        if mode == "P":
            image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        image.save(folder / "a.png")
        return [read_mask_frame(folder / "a.png").values.astype(np.uint8)], [mask.astype(np.uint8)]

    return read


def mask_tiff(folder: Path) -> Read:
    tifffile.imwrite(folder / "a.tif", labels(), photometric="miniswhite")
    return [read_mask_frame(folder / "a.tif").values], [255 - labels()]


def mask_dicom_seg(kind: Any) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        attributes = {
            "PatientID": "p", "PatientName": "P^Q", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "",
            "StudyTime": "", "StudyID": "1", "AccessionNumber": "", "ReferringPhysicianName": "", "SeriesNumber": 1,
            "InstanceNumber": 1, "Modality": "CT", "PixelSpacing": [0.5, 0.5], "SliceThickness": 1,
            "ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "FrameOfReferenceUID": "1.2.3.5",
        }  # fmt: skip
        image = write_dicom(folder / "a.dcm", picture("u2"), **attributes)
        source = pydicom.dcmread(image)
        code = highdicom.sr.CodedConcept("91723000", "SCT", "Anatomical structure")
        algorithm = highdicom.AlgorithmIdentificationSequence("a", code, "1")
        described = [
            highdicom.seg.SegmentDescription(
                n, str(n), code, code, algorithm_type="AUTOMATIC", algorithm_identification=algorithm
            )
            for n in (1, 2)
        ]  # fmt: skip
        pixels = labels() if kind != "FRACTIONAL" else np.stack([labels() == 1, labels() == 2], axis=-1)[None] * 1.0
        segmentation = highdicom.seg.Segmentation(
            [source], pixels, kind, described, series_instance_uid="1.2.9", series_number=2, sop_instance_uid="1.2.9.1",
            instance_number=1, manufacturer="m", manufacturer_model_name="m", software_versions="1",
            device_serial_number="1",
        )  # fmt: skip
        segmentation.save_as(folder / "seg.dcm")
        return [frame.values for frame in dicom_seg.masks_of(folder / "seg.dcm", image)], [labels()]

    return read


def mask_slicer(layers: bool) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        volume = np.stack([labels(), labels()[::-1]], axis=2).transpose(1, 0, 2)
        fields: dict[str, Any] = {**LPS, "kinds": ["domain"] * 3}
        for n, name in enumerate(("rim", "core")):
            fields |= {f"Segment{n}_Name": name, f"Segment{n}_LabelValue": "1" if layers else str(n + 1)}
            fields[f"Segment{n}_Layer"] = str(n * layers)
        if layers:
            volume = np.stack([volume == 1, volume == 2]).astype(np.uint8)
            fields |= {
                "kinds": ["list", *["domain"] * 3],
                "space directions": [[np.nan] * 3, *np.diag([0.5, 0.75, 2.0])],
            }
        nrrd.write(str(folder / "a.seg.nrrd"), volume, fields)
        found = nrrd_seg.masks_of(folder / "a.seg.nrrd", ["rim", "core"])
        return [frame.values for frame in found], [labels(), labels()[::-1]]

    return read


def mask_nrrd(folder: Path) -> Read:
    nrrd.write(str(folder / "a.nrrd"), labels().T)
    return [read_mask_frame(folder / "a.nrrd").values], [labels()]


def masks() -> Iterator[Kind]:
    for mode, kind in {"L": "numbers", "P": "palette", "1": "1 bit"}.items():
        yield Kind("PNG", kind, "mask", mask_png(mode))
    yield Kind("TIFF", "white is zero", "mask", mask_tiff)
    for kind in ("BINARY", "FRACTIONAL", "LABELMAP"):
        yield Kind("DICOM-SEG", kind.lower(), "mask", mask_dicom_seg(kind))
    yield Kind("NRRD", "numbers", "mask", mask_nrrd)
    yield Kind("3D Slicer `.seg.nrrd`", "one layer", "mask", mask_slicer(False))
    yield Kind("3D Slicer `.seg.nrrd`", "layers", "mask", mask_slicer(True))


def merged(folder: Path, source: Path, expected: np.ndarray) -> Read:
    """Rasterise the only annotation of a source for an image a.png."""
    Image.new("L", (WIDTH, HEIGHT)).save(folder / "a.png")
    spec = DatasetSpec(name="x", tasks=("segmentation",), mask_values={0: "background", 1: "rim", 2: "core"})
    (annotation,) = read_annotations(source)
    row = Row("a", folder / "a.png", None, None, None, None, 2)
    found = Rasteriser(spec).rasterise(annotation, row, empty=False)
    assert found is not None
    return [found], [expected]


def by_json(name: str, contents: Any, expected: np.ndarray) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        (folder / "export").mkdir()
        (folder / "export" / name).write_text(json.dumps(contents))
        return merged(folder, folder / "export" / name, expected)

    return read


def box() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[6:12, 8:16] = 2
    return mask


def oval() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return (2 * (((x - 16) / 8) ** 2 + ((y - 12) / 6) ** 2 <= 1)).astype(np.uint8)


def alpha(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.merge("LA", [Image.new("L", mask.shape[::-1]), Image.fromarray((mask > 0).astype(np.uint8) * 255)]).save(
        buffer, "PNG"
    )
    return base64.b64encode(buffer.getvalue()).decode()


def studio(kind: str, value: dict[str, Any]) -> Any:
    result = {"id": "r", "type": f"{kind}labels", "from_name": kind, "to_name": "image", "original_width": WIDTH,
              "original_height": HEIGHT, "value": {**value, f"{kind}labels": ["core"]}}  # fmt: skip
    return [{"data": {"image": "/data/upload/1/0123abcd-a.png"}, "annotations": [{"result": [result]}]}]


def coco(segmentation: Any, **info: Any) -> Any:
    one = {"id": 1, "image_id": 1, "category_id": 2, "segmentation": segmentation, "iscrowd": 0}
    return {"info": info, "images": [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}],
            "categories": [{"id": 2, "name": "core"}], "annotations": [one]}  # fmt: skip


def labelme(kind: str, **fields: Any) -> Any:
    return {"version": "5.8.1", "flags": {}, "imagePath": "a.png", "imageData": None, "imageHeight": HEIGHT,
            "imageWidth": WIDTH, "shapes": [{"label": "core", "shape_type": kind, "flags": {}, **fields}]}  # fmt: skip


def qupath(*coordinates: Any) -> Any:
    return {"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": list(coordinates)},
         "properties": {"objectType": "annotation", "classification": {"name": "core", "color": [1, 2, 3]}}}
    ]}  # fmt: skip


def cvat(palette: bool) -> Callable[[Path], Read]:
    def read(folder: Path) -> Read:
        export = folder / "cvat"
        (export / "SegmentationClass").mkdir(parents=True)
        (export / "labelmap.txt").write_text("background:0,0,0::\nrim:9,8,7::\ncore:1,2,3::\n")
        colours = np.array([[0, 0, 0], [9, 8, 7], [1, 2, 3]], np.uint8)
        image = Image.fromarray(labels() if palette else colours[labels()])
        if palette:
            image.putpalette(colours.ravel().tolist())
        image.save(export / "SegmentationClass" / "a.png")
        return merged(folder, export, labels())

    return read


def drawn(draw: Callable[[ImageDraw.ImageDraw], None]) -> np.ndarray:
    canvas = Image.new("L", (WIDTH, HEIGHT))
    draw(ImageDraw.Draw(canvas))
    return np.asarray(canvas)


def annotations() -> Iterator[Kind]:
    corners = [[25, 25], [50, 25], [50, 50], [25, 50]]
    for kind, value, expected in (
        ("polygon", {"points": [[x + 0.5, y + 0.5] for x, y in corners], "closed": True}, None),
        ("rectangle", {"x": 25, "y": 25, "width": 25, "height": 25, "rotation": 0}, box()),
        ("ellipse", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}, oval()),
        ("brush", {"format": "rle", "rle": encode_brush(labels() > 0)}, 2 * (labels() > 0)),
        ("bitmask", {"imageDataURL": "data:image/png;base64," + alpha(labels())}, 2 * (labels() > 0)),
    ):  # fmt: skip
        mask = box() if expected is None else np.asarray(expected, np.uint8)
        yield Kind("Label Studio JSON", kind, "annotation", by_json("a.json", studio(kind, value), mask))
    yield Kind("Label Studio JSON-MIN", "any", "annotation",
               by_json("a.json", [{"image": "a.png", "annotator": 1, "lead_time": 1}], box()),
               "JSON-MIN of Label Studio")  # fmt: skip
    polygon = [[8, 6, 16, 6, 16, 12, 8, 12]]
    yield Kind("Label Studio COCO", "any", "annotation",
               by_json("a.json", coco(polygon, contributor="Label Studio"), box()),
               "which drops brush strokes")  # fmt: skip
    packed = pycocotools.mask.encode(np.asfortranarray(box() > 0, np.uint8))
    flat = (box() > 0).T.ravel()
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    for kind, shape in {
        "polygon": polygon, "run lengths, numbers": {"size": [HEIGHT, WIDTH], "counts": np.diff(ends).tolist()},
        "run lengths, text": {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()},
    }.items():  # fmt: skip
        yield Kind("COCO (CVAT's COCO 1.0)", kind, "annotation", by_json("a.json", coco(shape), box()))
    yield Kind("COCO (CVAT's COCO 1.0)", "box alone", "annotation", by_json("a.json", coco([]) | {
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "segmentation": [], "bbox": [1, 1, 5, 5]}]
    }, box()), "has a box but no segmentation")  # fmt: skip
    yield Kind("CVAT segmentation mask 1.1", "RGB", "annotation", cvat(False))
    yield Kind("CVAT segmentation mask 1.1", "palette", "annotation", cvat(True))
    xy = [[4.2, 3.1], [20.7, 5.5], [11.0, 18.4]]
    for kind, fields, expected in (
        ("polygon", {"points": xy}, drawn(lambda d: d.polygon([tuple(p) for p in xy], outline=2, fill=2))),
        ("rectangle", {"points": [[3, 4], [9.5, 8]]}, drawn(lambda d: d.rectangle([3, 4, 9.5, 8], outline=2, fill=2))),
        ("circle", {"points": [[12, 12], [12, 18]]}, drawn(lambda d: d.ellipse([6, 6, 18, 18], outline=2, fill=2))),
        ("mask", {"points": [[0, 0], [WIDTH - 1, HEIGHT - 1]], "mask": mask_text()}, 2 * (labels() > 0)),
    ):  # fmt: skip
        mask = np.asarray(expected, np.uint8)
        yield Kind("LabelMe JSON", kind, "annotation", by_json("a.json", labelme(kind, **fields), mask))
    outer, hole = [[4, 4], [20, 4], [20, 20], [4, 20], [4, 4]], [[8, 8], [8, 12], [12, 12], [12, 8], [8, 8]]
    far = [[24, 2], [30, 2], [30, 9], [24, 9], [24, 2]]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:20, 4:20], mask[2:9, 24:30] = 2, 2
    mask[8:12, 8:12] = 0
    yield Kind("QuPath GeoJSON", "parts and holes", "annotation",
               by_json("a.geojson", qupath([outer, hole], [far]), mask))  # fmt: skip


def mask_text() -> str:
    buffer = io.BytesIO()
    Image.fromarray((labels() > 0).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def kinds() -> list[Kind]:
    """All kinds, in the order of the page."""
    return [*images(), *masks(), *annotations()]


def table(folder: Path) -> list[str]:
    """Read everything below a folder, and return the rows of the page."""
    return [
        f"| {kind.format} | {kind.kind} | {kind.use} | {kind.result(folder / str(number))} |"
        for number, kind in enumerate(kinds())
    ]


def page(folder: Path) -> str:
    """The whole page, with the versions of the libraries that wrote and read the files."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except ModuleNotFoundError:
            found.append(f"no {name}")
    return "\n".join([
        "<!-- Generated by tests/formats_conformance.py; do not edit. -->", "", "# What of each format is read", "",
        "Every row is a file that another library wrote, or that follows an annotation tool's own export, and that was",
        "read while this page was made. *exact*: every value, or every pixel of the mask, is the expected one; lossy",
        "files are compared with Pillow's decoding. *refused*: one line says why, and nothing is imported or merged.",
        "", f"Versions: {', '.join(found)}.", "",
        "| format | kind | as | result |", "|---|---|---|---|", *table(folder), "",
    ])  # fmt: skip


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page(Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
