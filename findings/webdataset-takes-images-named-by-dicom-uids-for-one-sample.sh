#!/usr/bin/env bash
# Packages: webdataset 1.0.2, numpy 2.4.6; Python 3.11.
#
# webdataset keeps training sets in tar files, in which the parts of a sample share a name: 17.png and 17.cls. Images of
# radiology have a unique name already, the SOP Instance UID: digits and dots. The writer takes such a key without a
# word. The reader ends the key at the first dot, so every key is "1" (or "2"), the rest of the UID is part of the
# "extension", and as neighbours with one key are one sample, a whole tar file comes back as a single sample that holds
# all patients under keys of its own making. There is neither a warning nor a complaint about repeated parts, as these
# extensions differ. With shards the training set has as many "images" as shards; a pipeline that picks "cls" or "txt"
# by name finds none, and one that skips what it cannot decode trains on nothing. Keys without dots come back.
#
# Seen, 6 samples written: keys "case-0" ... give 6 samples with parts txt and cls; keys "1.2.840.99.0" ... give one
# sample of key "1" with 12 parts, the first of which is called "2.840.99.0.cls".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet webdataset==1.0.2 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import webdataset

COUNT = 6


def there_and_back(keys):
    with webdataset.TarWriter("shard.tar") as writer:
        for number, key in enumerate(keys):
            writer.write({"__key__": key, "txt": f"report {number}", "cls": str(number % 2)})
    samples = list(webdataset.WebDataset("shard.tar", shardshuffle=False))
    parts = [[name for name in sample if not name.startswith("__")] for sample in samples]
    print(f"{len(keys)} written, {len(samples)} read; first: key {samples[0]['__key__']!r}, parts {parts[0]}")
    return [sample["__key__"] for sample in samples], parts


plain = [f"case-{number}" for number in range(COUNT)]
keys, parts = there_and_back(plain)
assert keys == plain
assert all(sorted(names) == ["cls", "txt"] for names in parts)

uids = [f"1.2.840.99.{number}" for number in range(COUNT)]
keys, parts = there_and_back(uids)
assert keys == ["1"]
assert sorted(parts[0]) == sorted(f"2.840.99.{number}.{kind}" for number in range(COUNT) for kind in ("txt", "cls"))
PYTHON
