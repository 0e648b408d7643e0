"""Write annotations with the tools' own libraries, and their own rasterisation; run by a Python that has them.

    PYTHON tool_exports.py FOLDER

FOLDER/labelme/*.json, FOLDER/voc (CVAT's "Segmentation mask 1.1"), FOLDER/rle and FOLDER/polygon (COCO), and
FOLDER/truth.npz with a mask for each image and source: 1 and 2 are the classes `one` and `two`.
"""

import json
import sys
from pathlib import Path

import datumaro as dm
import numpy as np
from datumaro.util import mask_tools
from labelme import __version__ as labelme_version
from labelme.utils import shape_to_mask

HEIGHT, WIDTH = 64, 96
IMAGES = 40
NAMES = ("background", "one", "two")


def outline(rng, y, x, reach):
    """(N, 2) corners x, y of a star-shaped polygon."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(5, 12)))
    radii = rng.uniform(0.3, 1, len(angles)) * reach
    return np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1).clip(0, (WIDTH - 1, HEIGHT - 1))


def labelme(folder, rng):
    truth = {}
    for n in range(IMAGES):
        mask, shapes = np.zeros((HEIGHT, WIDTH), np.uint8), []
        for value, x in ((1, 24.0), (2, 72.0)):  # apart, so that no shape covers another
            y = rng.uniform(24, 40)
            kind = ("polygon", "rectangle", "circle", "oriented_rectangle")[rng.integers(4)]
            if kind == "polygon":
                points = outline(rng, y, x, 20)
            elif kind == "oriented_rectangle":
                a, half = rng.uniform(0, np.pi), rng.uniform(4, 12, 2)
                axes = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
                points = (x, y) + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ axes
            else:
                points = np.stack([np.array([x, y]), np.array([x, y]) + rng.uniform(-9, 9, 2)])
            points = points.tolist()
            mask[shape_to_mask((HEIGHT, WIDTH), points, kind)] = value
            shapes.append({"label": NAMES[value], "points": points, "group_id": None, "shape_type": kind, "flags": {}})
        contents = {"version": labelme_version, "flags": {}, "shapes": shapes, "imagePath": f"c{n:02d}.png",
                    "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        (folder / f"c{n:02d}.json").write_text(json.dumps(contents))
        truth[f"labelme_c{n:02d}"] = mask
    return truth


def datumaro(folder, rng):
    truth, masks, shapes = {}, [], []
    for n in range(IMAGES):
        name, image = f"c{n:02d}", dm.Image.from_numpy(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        of_masks, of_shapes = [], []
        mask, drawn = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
        for value, x in ((1, 24.0), (2, 72.0)):
            speckle = rng.random((HEIGHT, WIDTH)) > 0.6
            speckle[:, : int(x) - 20] = speckle[:, int(x) + 20 :] = False
            mask[speckle] = value
            of_masks.append(dm.Mask(image=speckle, label=value, group=value, id=value))
            points = outline(rng, rng.uniform(24, 40), x, 20).ravel().tolist()
            polygon = dm.Polygon(points, label=value, group=value, id=value)
            drawn[mask_tools.rles_to_mask([list(polygon.points)], WIDTH, HEIGHT).astype(bool)] = value
            of_shapes.append(polygon)
        truth[f"voc_{name}"], truth[f"rle_{name}"], truth[f"polygon_{name}"] = mask, mask, drawn
        masks.append(dm.DatasetItem(id=name, subset="default", media=image, annotations=of_masks))
        shapes.append(dm.DatasetItem(id=name, subset="default", media=image, annotations=of_shapes))
    colours = {0: (0, 0, 0), 1: (250, 50, 83), 2: (51, 221, 255)}
    categories = {
        dm.AnnotationType.label: dm.LabelCategories.from_iterable(NAMES),
        dm.AnnotationType.mask: dm.MaskCategories(colours),
    }
    pixels = dm.Dataset.from_iterable(masks, categories=categories, media_type=dm.Image)
    pixels.export(str(folder / "voc"), "voc_segmentation", save_media=False, label_map="source")
    pixels.export(str(folder / "rle"), "coco_instances", save_media=False)
    polygons = dm.Dataset.from_iterable(shapes, categories=categories, media_type=dm.Image)
    polygons.export(str(folder / "polygon"), "coco_instances", save_media=False)
    return truth


folder = Path(sys.argv[1])
(folder / "labelme").mkdir(parents=True)
generator = np.random.default_rng(0)
np.savez(folder / "truth.npz", **labelme(folder / "labelme", generator), **datumaro(folder, generator))
