"""A registry that sends no more bytes and does not say so, or has no time: the tests wait for limits of pyro's and skopeo's."""

import random
import time

import harness

from images import checks, samples
from images.checks import expect_not_installed, expect_refused
from images.image import Image
from images.layers import Layer, file
from images.proxy import Fault

STALL_SECONDS = 30  # src/image/oci/fetch.h


def test_a_stalled_connection_is_noticed_and_tried_again(stocked, registry, proxy):
    noise = Layer.of([file("noise", random.Random(1).randbytes(4 << 20))])
    registry.push("team/stalled", Image([*samples.static().layers, noise], samples.static().config).manifest(), "1")
    name = f"{proxy.host}/team/stalled:1"
    proxy.faults.append(Fault(f"/blobs/{noise.digest}", "stall", after=1_000_000, times=1))
    process = stocked.start("env", "pull", "--json", "--plain-http", f"oci:{name}")
    proxy.await_fault(process)
    stalled_at = time.monotonic()
    listed = stocked("env", "list", "--json").json["environments"]
    assert name not in [entry["name"] for entry in listed]
    done = harness.finish(process)
    assert done.code == 0 and done.json["built"] is True, done
    assert time.monotonic() - stalled_at >= STALL_SECONDS
    assert proxy.gets(f"/blobs/{noise.digest}") == 2
    assert checks.leftovers(stocked) == []
    assert stocked("run", "-q", name).code == 0
    assert stocked("env", "remove", name).code == 0
    expect_not_installed(stocked, name)


def test_a_registry_that_has_no_time_is_said_to_be_so(stocked, registry, proxy):
    """skopeo tries such a one again by itself, for half a minute."""
    registry.push("team/busy", samples.static().manifest(), "1")
    proxy.faults.append(Fault("/manifests/", "status", status=429))
    expect_refused(stocked("env", "pull", "--json", "--plain-http", f"oci:{proxy.host}/team/busy:1"), "unavailable")
    expect_not_installed(stocked, f"{proxy.host}/team/busy:1")
