"""The machine of a guest, and the settings, in Python."""

import harness
import pyro_mcp
import pytest


def test_a_machine_is_named_and_told(sdk):
    assert sdk.run_in_vm(environment=harness.BASE, command="true", machine="tcg", timeout_seconds=250)["machine"] == "tcg"
    with sdk.task(environment=harness.BASE, machine="tcg") as task:
        assert task.status()["machine"] == "tcg"
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="machine is 'fast'"):
        sdk.run_in_vm(environment=harness.BASE, command="true", machine="fast")


def test_settings_are_those_of_the_command_line(sdk, pyro):
    assert sdk.get_setting(name="machine")["value"] is None
    assert sdk.set_setting(name="machine", value="tcg")["value"] == "tcg"
    assert pyro("config", "get", "machine").text == "tcg\n"
    listed = sdk.list_settings()
    assert listed["file"].startswith(pyro.env["HOME"]) and listed["settings"][0]["value"] == "tcg"
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="there is no setting 'machin'") as refused:
        sdk.get_setting(name="machin")
    assert refused.value.hint == "did you mean 'machine'?"
    assert sdk.unset_setting(name="machine")["value"] is None
