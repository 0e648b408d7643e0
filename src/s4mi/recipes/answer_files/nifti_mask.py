"""A mask of a NIfTI volume, voxel upon voxel."""

from pathlib import Path

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import require_extra


def write_nifti_mask(path: Path, slices: Pixels, image: Path) -> None:
    """Write (N, H, W) slices, as `formats.nifti` shows those of the volume `image`, in its orientation and affine."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: writing NIfTI")
    source = nibabel.load(image)
    upright = np.stack([np.rot90(one, -1) for one in slices], axis=2)  # (X, Y, Z), as the standard orientation has it
    if len(source.shape) == 2:
        volume = upright[:, :, 0]
    else:
        orientations = nibabel.orientations
        stored = orientations.io_orientation(source.affine)
        back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), stored)
        volume = orientations.apply_orientation(upright, back)
    made = nibabel.Nifti1Image(np.ascontiguousarray(volume), source.affine)
    made.header.set_xyzt_units(*source.header.get_xyzt_units())
    for form in ("qform", "sform"):
        code = int(source.header[f"{form}_code"]) if f"{form}_code" in source.header else 0
        getattr(made, f"set_{form}")(source.affine, code=code or 1)
    nibabel.save(made, path)
