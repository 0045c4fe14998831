"""What several tests of images check."""

import hashlib

import harness


def folder_of(pyro, name):
    """Where the versions of an image are; its name says which folder."""
    return pyro.cache / f"environments/image-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def expect_not_installed(pyro, name):
    """No version, whole or half, and no rest of a pull."""
    listed = pyro("env", "list", "--json").json["environments"]
    assert name not in [entry["name"] for entry in listed if entry["installed"] or entry["broken"]], listed
    folder = folder_of(pyro, name)
    left = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
    assert left in ([], ["lock"]), left


def expect_refused(done, code, *parts, exit_code=1):
    """An error with this code, in one sentence and one hint, that says all of `parts`."""
    assert done.code == exit_code, done
    error = done.json["error"]
    assert error["code"] == code, done
    said = f"{error['message']} {error['hint']}"
    for part in parts:
        assert part in said, done
    assert harness.is_one_sentence_and_hint(f"pyro: {error['message']}\nhint: {error['hint']}\n"), done


def info_of(pyro, name):
    found, = [entry for entry in pyro("env", "list", "--json").json["environments"] if entry["name"] == name]
    return found


def blob_of(pyro, digest):
    """In the store that all pulls share."""
    return pyro.cache / f"oci/blobs/sha256/{digest[7:]}"


def leftovers(pyro):
    """What a pull needs while it runs, and must not leave."""
    return sorted(str(path.relative_to(pyro.cache)) for pattern in ("environments/*/.pull-*", "oci/**/oci-put-blob*")
                  for path in pyro.cache.glob(pattern))
