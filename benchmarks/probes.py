"""Programs that benchmarks run in processes of their own, against any version of s4mi: only its public interface.

Those that time themselves print one number in the last line: images per second.
"""

TO_FIRST_STEP = """
import os, sys
from pathlib import Path
from s4mi.config.first_look import look_at_run
look_at_run(Path(sys.argv[1]))
from s4mi.api.training import training_call
from s4mi.recipes.train import train
with training_call(Path(sys.argv[1])) as (config, _):
    train(config, Path(sys.argv[2]) / str(os.getpid()),
          watch=lambda now: os._exit(0) if now.phase == "train" and now.done else None)
"""
"""What `s4mi train RUN.yaml -o DIR` does, ended when the first step is done. Arguments: RUN.yaml, DIR."""

BARE_STEP = """
import timm, torch
network = timm.create_model("resnet18", num_classes=3)
optimiser = torch.optim.AdamW(network.parameters())
loss = torch.nn.functional.cross_entropy(network(torch.rand(16, 3, 96, 96)), torch.zeros(16, dtype=torch.long))
loss.backward()
optimiser.step()
"""
"""A bare script that builds a network and takes one step."""

MAKE_DATA = """
import sys
from pathlib import Path
from s4mi.data.sources.synthetic import write_synthetic
write_synthetic("lesions", Path(sys.argv[1]), count=int(sys.argv[2]), size=int(sys.argv[3]), seed=0)
"""
"""Draws a data set. Arguments: folder, number of images, side in pixels."""

PREDICT = """
import sys, time
from pathlib import Path
import s4mi
model = s4mi.load(sys.argv[1])
images = sorted((Path(sys.argv[2]) / "images").iterdir())
model.predict(images[:16], progress=False)
began = time.perf_counter()
predictions = model.predict(images, progress=False)
seconds = time.perf_counter() - began
import numpy
segments = model.task == "segmentation"
numpy.save(sys.argv[3], numpy.stack([one.mask if segments else numpy.array(one.labels) for one in predictions]))
print(len(images) / seconds)
"""
"""Predicts images with a run, after a first batch. Arguments: run, data set, file for the decisions (.npy)."""

STEPS = """
import os, sys, time
from pathlib import Path
import s4mi
state = {}
def watch(now):
    if now.phase != "train":
        return
    if now.done == 2:
        state["from"] = time.perf_counter()
    if now.done == 2 + int(sys.argv[3]):
        seconds = time.perf_counter() - state["from"]
        print(int(sys.argv[3]) * int(sys.argv[4]) / seconds, flush=True)
        os._exit(0)
s4mi.train(sys.argv[1], Path(sys.argv[2]) / str(os.getpid()), progress=watch)
"""
"""Trains some steps after the second. Arguments: RUN.yaml, folder, number of steps, images in a batch."""
