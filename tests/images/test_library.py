"""Images from Python and for models: the same calls, errors and guests as on the command line."""

import sys

import harness
import pyro_mcp
import pytest

from images import checks, samples
from images.image import write_layout

sys.path.insert(0, str(harness.ROOT / "tests/mcp"))
import client  # noqa: E402


@pytest.fixture
def sdk(shop, monkeypatch):
    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    return pyro_mcp.Pyro()


def test_python_pulls_runs_names_and_removes_an_image(sdk, shop, scratch):
    what = samples.with_config({"User": "app", "Env": [samples.PATH, "A=image"], "Cmd": ["/probe", "own"]})
    path = write_layout(scratch / "some", [("", what.manifest())])
    pulled = sdk.pull_environment(f"oci-layout:{path}", name="library/app:1")
    assert pulled["name"] == "library/app:1" and pulled["built"] is True and pulled["left_out"] == []
    assert sdk.pull_environment(f"oci-layout:{path}", name="library/app:1")["built"] is False
    with sdk.task(environment="library/app:1") as task:
        done = task.exec(command="id -un; echo $A; pwd")
        assert done["stdout"] == "app\nimage\n/workspace\n", done
        with pytest.raises(pyro_mcp.WrongStateError, match="tasks"):
            sdk.remove_environment("library/app:1")
    assert sdk.tag_environment("library/app:1", name="library/other")["name"] == "library/other"
    assert sdk.inspect_environment("library/other")["image"]["user"] == "app"
    assert {"library/app:1", "library/other"} <= {one["name"] for one in sdk.list_environments()["environments"]}
    for name in ("library/app:1", "library/other"):
        assert sdk.remove_environment(name)["environment"] == name
        checks.expect_not_installed(shop, name)
    with pytest.raises(pyro_mcp.InvalidArgumentError):
        sdk.pull_environment("oci:busybox")


def test_a_model_sees_images_and_makes_tasks_of_them(shop, scratch):
    path = write_layout(scratch / "some", [("", samples.with_config({"User": "app"}).manifest())])
    assert shop("env", "pull", "--name", "library/model", f"oci-layout:{path}").code == 0
    server = client.Server(shop)
    listed = server.value("vm_list_environments")
    assert "library/model" in [entry["name"] for entry in listed["environments"]], listed
    task_id = server.value("task_create", environment="library/model")["task_id"]
    done = server.value("task_exec", task_id=task_id, command="id -u && pwd")
    assert done["stdout"] == "1000\n/workspace\n", done
    server.value("task_delete", task_id=task_id)
    assert server.close() == 0
    assert shop("env", "remove", "library/model").code == 0
