"""Packages of Debian's archive that are not installed: fetched as the host's own apt is set up, and unpacked.

apt checks the archive's signature, its lists against the signature, and each package against the lists. It works in a directory of ours,
with the mirrors that the host's own sources name, and another suite if one is asked for.
"""

import pathlib
import subprocess

from program import timed
from rounds import Failed

KEYS = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
FETCH_SECONDS = 600
# What the host's configuration does after an update, and which other lists it wants, are no matter of ours.
CONFIGURATION = """#clear APT::Update;
#clear DPkg;
#clear Acquire::IndexTargets::deb::DEP-11;
Acquire::Languages "none";
APT::Sandbox::User "root";
Dir::Etc::SourceList "{directory}/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "{directory}/lists";
Dir::Cache "{directory}/cache";
"""


def release() -> str:
    """The name of the host's own suite."""
    lines = pathlib.Path("/etc/os-release").read_text().splitlines()
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")), "")


def mirrors(targets: str, suite: str) -> list[str]:
    """`targets` are lines "ADDRESS|SUITE|COMPONENT", one for each list of packages that apt knows."""
    found = [line.split("|") for line in targets.splitlines()]
    return list(dict.fromkeys(each[0] for each in found if each[1:] == [suite, "main"]))


class Archive:
    """The packages of one suite, kept in `directory` from one benchmark to the next."""

    def __init__(self, directory: pathlib.Path, suite: str, *kinds: str):
        self.directory = directory
        self.suite = suite
        self.kinds = kinds  # "deb", "deb-src"
        self.updated = False

    def unpacked(self, package: str) -> pathlib.Path:
        """The directory with the files of a package."""
        return self.take(package, ["download"], "*.deb", ["dpkg", "-x"])

    def sources(self, package: str) -> pathlib.Path:
        """The directory with the sources of a package, with Debian's changes. apt has checked them already."""
        return self.take(package, ["source", "--download-only"], "*.dsc", ["dpkg-source", "--no-check", "-x"])

    def take(self, package: str, fetch: list[str], pattern: str, unpack: list[str]) -> pathlib.Path:
        target = self.directory / "unpacked" / f"{package}{pattern[1:]}"
        if target.exists():
            return target
        self.update()
        fetched = self.directory / "fetched"
        timed(["rm", "-rf", fetched])
        fetched.mkdir()
        self.apt(*fetch, package, cwd=fetched)
        files = list(fetched.glob(pattern))
        if len(files) != 1:
            raise Failed(f"apt fetched {len(files)} files {pattern} of {package}")
        making = target.with_suffix(".making")
        timed(["rm", "-rf", making])
        making.parent.mkdir(exist_ok=True)
        timed([*unpack, files[0], making], FETCH_SECONDS)
        making.rename(target)
        return target

    def update(self) -> None:
        if self.updated:
            return
        listed = timed(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(RELEASE)|$(COMPONENT)", "Created-By: Packages"],
                       stdout=subprocess.PIPE)[1].stdout.decode(errors="replace")
        found = mirrors(listed, release())
        if not found:
            raise Failed(f"apt's sources name no archive with main of {release() or 'this release'}, from where {self.suite} could be taken")
        signed = f" [signed-by={KEYS}]" if KEYS.exists() else ""
        for name in ("lists/partial", "cache/archives/partial"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        lines = [f"{kind}{signed} {uri} {self.suite} main\n" for uri in found for kind in self.kinds]
        (self.directory / "sources.list").write_text("".join(lines))
        (self.directory / "apt.conf").write_text(CONFIGURATION.format(directory=self.directory))
        self.apt("update", "--error-on=any")
        self.updated = True

    def apt(self, *words: str, **options) -> None:
        timed(["apt-get", "-q", "-c", self.directory / "apt.conf", *words], FETCH_SECONDS, **options)
