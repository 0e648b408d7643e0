"""Archives that could run code are refused before torch opens them."""

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from s4mi.errors import S4miError
from s4mi.inference.program_check import check_program


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x)) + 1


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "m.pt2"
    batch = torch.export.Dim("batch")
    torch.export.save(torch.export.export(Net(), (torch.zeros(2, 4),), dynamic_shapes=({0: batch},)), path)
    return path


def changed(archive: Path, out: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            contents = change(name, old.read(name))
            if contents is not None:
                new.writestr(name, contents)
        for name, contents in more.items():
            new.writestr(f"m/{name.replace('__', '/').replace('_dot_', '.')}", contents)
    return out


def test_what_torch_exports_is_accepted(archive: Path) -> None:
    check_program(archive)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


def _model(edit: Callable[[dict], None]) -> Callable[[str, bytes], bytes]:
    def change(name: str, contents: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return contents
        model = json.loads(contents)
        edit(model)
        return json.dumps(model).encode()

    return change


def _call(target: str) -> Callable[[dict], None]:
    def edit(model: dict) -> None:
        model["graph_module"]["graph"]["nodes"][0]["target"] = target

    return edit


def _pickled_config(name: str, contents: bytes) -> bytes:
    if not name.endswith("model_weights_config.json"):
        return contents
    config = json.loads(contents)
    next(iter(config["config"].values()))["use_pickle"] = True
    return json.dumps(config).encode()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_model(_call("torch.os.system")), "calls 'torch.os.system'"),
        (_model(_call("torch.load")), "calls 'torch.load'"),
        (_model(_call("_operator.attrgetter")), "calls"),
        (_model(lambda model: model.update(guards_code=["__import__('os')"])), "source code of guards"),
        (_model(lambda model: model.update(range_constraints={"__import__('os').x": {}})), "holds the expression"),
        (_pickled_config, "as a pickle"),
        (lambda name, contents: pickle.dumps(Evil()) if "sample_inputs" in name else contents, "example inputs"),
    ],
)
def test_what_could_run_code_is_refused(
    archive: Path, tmp_path: Path, change: Callable[[str, bytes], bytes], problem: str
) -> None:
    with pytest.raises(S4miError, match="could run code") as refused:
        check_program(changed(archive, tmp_path / "m.pt2", change))
    assert problem in str(refused.value)


def test_shared_objects_are_refused(archive: Path, tmp_path: Path) -> None:
    path = changed(archive, tmp_path / "m.pt2", lambda _, contents: contents, data__aotinductor__x_dot_so=b"ELF")
    with pytest.raises(S4miError, match="holds the part"):
        check_program(path)
