"""Layers of container images, written by hand: exact owners, modes, times, extended attributes, whiteouts, and their compression."""

import copy
import dataclasses
import gzip
import hashlib
import io
import subprocess
import tarfile

MTIME = 1_600_000_000
# One capability in a file's xattr, revision 2: magic and "effective", permitted, inheritable, and both again for bits above 31.
CAP_NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")

Entry = tuple[tarfile.TarInfo, bytes]


def _entry(path: str, kind: bytes, *, mode: int, uid: int = 0, gid: int = 0, mtime: str | int = MTIME, data: bytes = b"",
           target: str = "", xattrs: dict[str, bytes] | None = None, device: tuple[int, int] = (0, 0)) -> Entry:
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.uid, info.gid, info.linkname = kind, mode, uid, gid, target
    info.size = len(data)
    info.devmajor, info.devminor = device
    if isinstance(mtime, str):
        info.pax_headers["mtime"] = mtime  # With nanoseconds, for which a float has no room.
    else:
        info.mtime = mtime
    for name, value in (xattrs or {}).items():
        info.pax_headers[f"SCHILY.xattr.{name}"] = value.decode("utf-8", "surrogateescape")
    return info, data


def file(path: str, data: bytes | str = b"", mode: int = 0o644, **more) -> Entry:
    return _entry(path, tarfile.REGTYPE, mode=mode, data=data.encode() if isinstance(data, str) else data, **more)


def directory(path: str, mode: int = 0o755, **more) -> Entry:
    return _entry(path, tarfile.DIRTYPE, mode=mode, **more)


def symlink(path: str, target: str, **more) -> Entry:
    return _entry(path, tarfile.SYMTYPE, mode=0o777, target=target, **more)


def hard_link(path: str, target: str, **more) -> Entry:
    """`target` is a path in the image, without a leading slash. What a link says of owner and mode counts for the target too."""
    more.setdefault("mode", 0o644)
    return _entry(path, tarfile.LNKTYPE, target=target, **more)


def fifo(path: str, mode: int = 0o644, **more) -> Entry:
    return _entry(path, tarfile.FIFOTYPE, mode=mode, **more)


def device(path: str, major: int, minor: int, *, block: bool = False, mode: int = 0o666, **more) -> Entry:
    return _entry(path, tarfile.BLKTYPE if block else tarfile.CHRTYPE, mode=mode, device=(major, minor), **more)


def whiteout(path: str) -> Entry:
    """Removes what layers below have at `path`."""
    parent, _, name = path.rpartition("/")
    return file(f"{parent}/.wh.{name}" if parent else f".wh.{name}", mode=0o600)


def opaque(path: str) -> Entry:
    """Hides all that layers below have in the directory `path`."""
    return file(f"{path}/.wh..wh..opq", mode=0o600)


def tar(entries: list[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.TarFile(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(copy.copy(info), io.BytesIO(data) if info.isreg() else None)
    return buffer.getvalue()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _compress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, compresslevel=1, mtime=0)
    if compression == "zstd":
        return subprocess.run(["zstd", "-q", "-1", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout
    assert compression == "none", compression
    return data


@dataclasses.dataclass(frozen=True)
class Layer:
    blob: bytes
    diff_id: str  # The digest of the tar file that is in the blob.
    compression: str

    @classmethod
    def of(cls, entries: list[Entry], compression: str = "gzip") -> "Layer":
        return cls.of_tar(tar(entries), compression)

    @classmethod
    def of_tar(cls, data: bytes, compression: str = "gzip") -> "Layer":
        return cls(_compress(data, compression), digest_of(data), compression)

    @property
    def digest(self) -> str:
        return digest_of(self.blob)

    def media_type(self, docker: bool = False) -> str:
        if docker:
            base = "application/vnd.docker.image.rootfs.diff.tar"
            return base + {"gzip": ".gzip", "none": "", "zstd": ".zstd"}[self.compression]
        return "application/vnd.oci.image.layer.v1.tar" + {"gzip": "+gzip", "none": "", "zstd": "+zstd"}[self.compression]
