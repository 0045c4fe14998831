"""Container images as bytes: manifests, indexes, layouts and archives, written by hand so that odd ones can be made too."""

from __future__ import annotations

import dataclasses
import gzip
import json
import pathlib

from images import layers
from images.layers import Layer, digest_of

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
CREATED = "2020-09-13T12:26:40Z"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclasses.dataclass(frozen=True)
class Document:
    """A manifest or an index, and all that it names."""
    data: bytes
    media_type: str
    blobs: dict[str, bytes]  # By digest.
    manifests: tuple[Document, ...] = ()  # Those that an index names; a registry wants them before it.
    platform: dict | None = None
    annotations: dict | None = None

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def descriptor(self) -> dict:
        found = {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}
        if self.platform:
            found["platform"] = self.platform
        if self.annotations:
            found["annotations"] = self.annotations
        return found

    def all_blobs(self) -> dict[str, bytes]:
        """Its own bytes are among them, as a layout wants it."""
        found = {self.digest: self.data, **self.blobs}
        for manifest in self.manifests:
            found |= manifest.all_blobs()
        return found


@dataclasses.dataclass
class Image:
    layers: list[Layer]
    config: dict = dataclasses.field(default_factory=dict)  # Env, Cmd, User, WorkingDir, …
    architecture: str = "amd64"

    def config_blob(self) -> bytes:
        return _json({"architecture": self.architecture, "os": "linux", "created": CREATED, "config": self.config,
                      "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
                      "history": [{"created": CREATED, "created_by": f"layer {number}"} for number in range(len(self.layers))]})

    def manifest(self, docker: bool = False, docker_layers: bool | None = None) -> Document:
        """With Docker's own media types if `docker`; with `docker_layers` only the layers' types differ from the others'."""
        config = self.config_blob()
        of_docker = docker if docker_layers is None else docker_layers
        entries = [{"mediaType": layer.media_type(of_docker), "digest": layer.digest, "size": len(layer.blob)} for layer in self.layers]
        document = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST, "layers": entries,
                    "config": {"mediaType": DOCKER_CONFIG if docker else OCI_CONFIG, "digest": digest_of(config), "size": len(config)}}
        return Document(_json(document), document["mediaType"],
                        {digest_of(config): config, **{layer.digest: layer.blob for layer in self.layers}},
                        platform={"architecture": self.architecture, "os": "linux"})


def index(*manifests: Document, docker: bool = False) -> Document:
    media_type = DOCKER_LIST if docker else OCI_INDEX
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": [manifest.descriptor() for manifest in manifests]}
    return Document(_json(document), media_type, {}, manifests)


def attestation(of: Document) -> Document:
    """As builders add one to an index: a manifest for a platform "unknown", whose layer is a statement and no files."""
    statement = _json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": {"sha256": of.digest[7:]}}]})
    config = _json({"architecture": "unknown", "os": "unknown", "config": {},
                    "rootfs": {"type": "layers", "diff_ids": [digest_of(statement)]}})
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": digest_of(statement), "size": len(statement),
                            "annotations": {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}}]}
    return Document(_json(document), OCI_MANIFEST, {digest_of(config): config, digest_of(statement): statement},
                    platform={"architecture": "unknown", "os": "unknown"},
                    annotations={"vnd.docker.reference.digest": of.digest, "vnd.docker.reference.type": "attestation-manifest"})


def _layout_files(named: list[tuple[str, Document]]) -> dict[str, bytes]:
    """An OCI layout by file name; an empty name is a manifest without a tag."""
    entries, files = [], {"oci-layout": _json({"imageLayoutVersion": "1.0.0"})}
    for name, document in named:
        entry = document.descriptor()
        if name:
            entry["annotations"] = {**entry.get("annotations", {}), "org.opencontainers.image.ref.name": name}
        entries.append(entry)
        files |= {f"blobs/sha256/{digest[7:]}": data for digest, data in document.all_blobs().items()}
    return {**files, "index.json": _json({"schemaVersion": 2, "manifests": entries})}


def write_layout(path: pathlib.Path, named: list[tuple[str, Document]]) -> pathlib.Path:
    for name, data in _layout_files(named).items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def write_archive(path: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    data = layers.tar([layers.file(name, data) for name, data in files.items()])
    path.write_bytes(gzip.compress(data, compresslevel=1, mtime=0) if path.suffix == ".gz" else data)
    return path


def write_oci_archive(path: pathlib.Path, named: list[tuple[str, Document]]) -> pathlib.Path:
    return write_archive(path, _layout_files(named))


def write_docker_archive(path: pathlib.Path, images: list[tuple[Image, list[str]]]) -> pathlib.Path:
    """As `docker save` writes it, with the names of each image; compressed if the path ends with .gz."""
    files, entries = {}, []
    for image, names in images:
        config = image.config_blob()
        config_name = f"{digest_of(config)[7:]}.json"
        files[config_name] = config
        paths = []
        for layer in image.layers:
            paths.append(f"{layer.digest[7:]}/layer.tar")
            files[paths[-1]] = layer.blob
        entries.append({"Config": config_name, "RepoTags": names or None, "Layers": paths})
    return write_archive(path, {**files, "manifest.json": _json(entries)})
