"""Label Studio's backend protocol: pre-annotations are the run's predictions, for the interface of the project."""

import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import DEDL, TRANSFER, Command
from label_studio_program import TOKEN as LABEL_STUDIO_TOKEN
from label_studio_program import ask
from s4mi.config import RunConfig
from s4mi.data.annotations.label_studio import read_label_studio
from s4mi.data.annotations.rasterise import Rasteriser
from s4mi.data.masks import read_mask
from s4mi.data.versions import load_version
from s4mi.recipes.train import train
from s4mi.viewer.run_list import open_runs
from s4mi.viewer.server import ServerOptions, ViewServer
from viewer_tab import TOKEN, Tab

MASKS = """<View><Header value="x"/><Image name="picture" value="$image"/>
<PolygonLabels name="outline" toName="picture"><Label value="lesion"/></PolygonLabels>
<BrushLabels name="stroke" toName="picture"><Label value="lesion"/></BrushLabels></View>"""
CHOICES = """<View><Image name="picture" value="$image"/><Choices name="diagnosis" toName="picture">
<Choice value="nevus"/><Choice value="melanoma"/><Choice value="seborrheic keratosis"/></Choices></View>"""


@pytest.fixture(scope="module")
def runs(lesions: Path, quick: Callable[..., RunConfig], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A segmenter and a classifier of the drawn lesions."""
    folder = tmp_path_factory.mktemp("backend")
    train(quick(lesions, DEDL, epochs=15), folder / "masks")
    train(quick(lesions, TRANSFER, epochs=1), folder / "classes")
    return {name: folder / name for name in ("masks", "classes")}


@pytest.fixture
def backend(lesion_copy: Path, open_tab: Callable[..., Tab], runs: dict[str, Path]) -> Tab:
    """A tab on a data set with both runs."""
    tab = open_tab(lesion_copy)
    open_runs(tab.space, [runs["masks"], runs["classes"]], None)
    return tab


def send(tab: Tab, path: str, body: dict[str, Any], *, token: str = TOKEN, user: str = "anyone") -> Any:
    credentials = b64encode(f"{user}:{token}".encode()).decode()
    tab.client.cookies.clear()
    return tab.client.post(f"/label-studio/{path}", json=body, headers={"Authorization": f"Basic {credentials}"})


def test_predicted_regions_become_exactly_the_predicted_masks_again(backend: Tab) -> None:
    rows = [backend.space.row(n) for n in (2, 11)]
    tasks = [
        {"id": 1, "data": {"image": f"/data/local-files/?d=data/images/{rows[0].image.name}"}},
        {"id": 2, "data": {"image": "s3://elsewhere/x.png", "id": rows[1].id}},
        {"id": 3, "data": {"image": "/data/upload/1/unknown.png"}},
    ]
    answer = send(backend, "predict", {"tasks": tasks, "label_config": MASKS, "project": "1.1"})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == len(tasks)
    assert results[2]["result"] == []
    for row, one, n in zip(rows, results, (2, 11), strict=False):
        assert {region["from_name"] for region in one["result"]} <= {"outline", "stroke"}
        assert {region["to_name"] for region in one["result"]} <= {"picture"}
        (read,) = read_label_studio([{"data": {"id": row.id}, "annotations": [{"result": one["result"]}]}])
        spec = backend.space.manifest.spec
        drawn = Rasteriser(spec).rasterise(read, row, empty=True)
        stored = backend.space.run("r0").mask(row)
        assert stored is not None
        assert stored.any()
        assert np.array_equal(drawn, stored), n


def test_classes_go_to_the_choices_of_the_interface(backend: Tab) -> None:
    row = backend.space.row(5)
    body = {"tasks": [{"id": 7, "data": {"id": row.id}}], "label_config": CHOICES}
    (one,) = send(backend, "r1/predict", body).json()["results"]
    (choice,) = one["result"]
    assert (choice["from_name"], choice["to_name"], choice["type"]) == ("diagnosis", "picture", "choices")
    prediction = backend.space.run("r1").stored(row)
    assert prediction is not None
    assert tuple(choice["value"]["choices"]) == prediction.labels
    assert one["score"] == pytest.approx(1 - prediction.doubt, abs=1e-4)


def test_the_version_names_the_run_and_changes_with_its_training(backend: Tab) -> None:
    setup = send(backend, "setup", {"project": "1.1", "schema": MASKS, "access_token": "theirs"})
    assert setup.status_code == 200
    assert setup.json()["model_version"].startswith("dedl")
    health = backend.client.get("/label-studio/health", headers={"Authorization": f"Bearer {TOKEN}"})
    assert health.json()["status"] == "UP"
    assert health.json()["model_version"] == setup.json()["model_version"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("setup", {"schema": "<View><Text name='a' value='$b'/></View>"}, 422),
        ("setup", {"schema": "<View"}, 422),
        ("predict", {"tasks": "all", "label_config": MASKS}, 400),
        ("predict", {"tasks": []}, 422),
        ("r9/predict", {"tasks": [], "label_config": MASKS}, 404),
    ],
)
def test_what_cannot_be_answered_is_said(backend: Tab, path: str, body: dict[str, Any], status: int) -> None:
    assert send(backend, path, body).status_code == status


def test_a_cookie_is_no_password_here(backend: Tab) -> None:
    assert send(backend, "setup", {}, token="wrong").status_code == 401
    backend.client.cookies.set("s4mi_token", TOKEN)
    assert backend.client.post("/label-studio/setup", json={}).status_code == 401


@pytest.mark.slow
def test_a_real_label_studio_gets_pre_annotations_that_merge_as_predicted(
    label_studio: str, lesions: Path, runs: dict[str, Path], s4mi: Command, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    data = Path(shutil.copytree(lesions, tmp_path / "lesions"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LABEL_STUDIO_TOKEN)
    served = ViewServer(ServerOptions(data, (runs["masks"],), port=0))
    served.start()
    try:
        manifest = load_version(data)
        project = ask(label_studio, "POST", "/api/projects/", {"title": "pre-annotated", "label_config": MASKS})["id"]
        storage = {"path": str(data), "project": project, "use_blob_urls": True, "title": "images"}
        ask(label_studio, "POST", "/api/storages/localfiles", storage)
        images = [f"/data/local-files/?d=lesions/{row.image.relative_to(data).as_posix()}" for row in manifest.rows[:4]]
        ask(label_studio, "POST", f"/api/projects/{project}/import", [{"data": {"image": image}} for image in images])
        model = ask(label_studio, "POST", "/api/ml/", {
            "project": project, "url": f"{served.address}label-studio", "title": "s4mi", "auth_method": "BASIC_AUTH",
            "basic_auth_user": "s4mi", "basic_auth_pass": served.access.token,
        })  # fmt: skip
        assert model["state"] == "CO", model
        assert model["model_version"].startswith("dedl")
        ask(label_studio, "POST", f"/api/dm/actions?id=retrieve_tasks_predictions&project={project}",
            {"selectedItems": {"all": True, "excluded": []}})  # fmt: skip
        for task in ask(label_studio, "GET", f"/api/tasks/?project={project}")["tasks"]:
            full = ask(label_studio, "GET", f"/api/tasks/{task['id']}/")
            (prediction,) = full["predictions"]
            assert prediction["model_version"] == model["model_version"]
            ask(label_studio, "POST", f"/api/tasks/{task['id']}/annotations/", {"result": prediction["result"]})
        predicted = [served.space.run("r0").mask(row) for row in manifest.rows[:4]]
    finally:
        served.close()
    assert s4mi("labelstudio", "pull", project, "-o", tmp_path / "export.json").returncode == 0
    merged = s4mi("data", "merge", data, tmp_path / "export.json", "--replace")
    assert merged.returncode == 0, merged.stderr
    after = load_version(data)
    for row, mask in zip(after.rows[:4], predicted, strict=True):
        assert row.mask is not None
        assert np.array_equal(read_mask(row.mask, after.spec.mask_values), mask)


def test_a_task_whose_image_cannot_be_read_gets_no_result_and_stops_no_other(backend: Tab) -> None:
    broken, good = backend.space.row(5), backend.space.row(6)
    broken.image.write_bytes(b"no image")
    tasks = [{"id": 1, "data": {"id": broken.id}}, {"id": 2, "data": {"id": good.id}}]
    answer = send(backend, "r1/predict", {"tasks": tasks, "label_config": CHOICES})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["results"]
    assert (first["result"], first["score"]) == ([], 0)
    assert len(second["result"]) == 1
