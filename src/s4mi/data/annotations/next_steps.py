"""What a merge means for the data set and its splits, and what to do next."""

from collections.abc import Iterator, Sequence

from s4mi.data.annotations.merge import MergeResult
from s4mi.data.manifest import Manifest


def next_steps(merged: MergeResult, manifest: Manifest, *, added: Sequence[str]) -> Iterator[str]:
    """Yield lines on the previous version, the effect on validation and test sets, and the next command.

    Args:
        added: new classes.
    """
    before = manifest.version
    kept = f"version {before} is kept in manifest-v{before}.csv (data.version={before})"
    if not merged.first:
        yield f"{kept}; the validation and test sets are unchanged"
        if {"val", "test"} & merged.official.keys():
            yield "… except for the annotated official parts: scores of the two versions are not comparable"
        if added:
            yield f"new classes: {', '.join(added)}; runs on older versions keep theirs, runs on this one use all"
        if added and not manifest.official:
            yield (
                f"the split is frozen, so {' and '.join(added)} {'is' if len(added) == 1 else 'are'} absent from "
                "validation and test and cannot be scored; for a new split, copy the folder, remove manifest-v*.csv "
                "from the copy, and pre-train again on it"
            )
        yield "next, train on this version in the same study: s4mi study run STUDY.yaml -o FOLDER"
        return
    yield kept
    what = "masks" if merged.first == ("segmentation",) else "labels"
    if not manifest.official:
        yield f"first {what} of the data set: the training, validation and test sets are drawn from them"
        yield (
            "pre-training on all images has seen what is now the test set: pre-train again on this version, as a study "
            "does, or define a test part in the column split first"
        )
    elif "val" not in merged.official:
        yield (
            f"first {what} of the data set, but the official validation part has none, which training requires: "
            "annotate some of its images as well, and merge them with --held-out"
        )
    yield "next: s4mi study run STUDY.yaml -o FOLDER"
