"""Builds the programs and the module with CMake, and puts them into the package."""

import os
import pathlib
import re
import shutil
import subprocess

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent
PROGRAMS = ["pyro", "pyro-supervisor", "pyro-agent", "pyro-net", "pyro-proxy"]


class BuildWithCMake(build_ext):
    """With PYRO_PREBUILT, a build directory of this tree, what is there is taken."""

    def build_extension(self, ext):
        prebuilt = os.environ.get("PYRO_PREBUILT")
        build = pathlib.Path(prebuilt) if prebuilt else pathlib.Path(self.build_temp).resolve() / "cmake"
        if not prebuilt:
            subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                            "-DPYRO_TESTS=OFF"], check=True)
            subprocess.run(["cmake", "--build", build, "--target", "programs", "_pyro"], check=True)
        target = pathlib.Path(self.get_ext_fullpath(ext.name)).resolve()
        libexec = target.parent / "libexec"
        libexec.mkdir(parents=True, exist_ok=True)
        strip = ["strip", "--strip-unneeded", "-o"]
        module, = (build / "python/pyro_mcp").glob("_pyro.*.so")
        subprocess.run([*strip, target, module], check=True)
        for program in PROGRAMS:
            subprocess.run([*strip, libexec / program, build / "bin" / program], check=True)
            shutil.copymode(build / "bin" / program, libexec / program)
        shutil.copyfile(ROOT / "src/net/network-presets", libexec / "network-presets")
        shutil.copyfile(ROOT / "src/downloads/download-hosts", libexec / "download-hosts")
        # Where a library's license is not there, no package of Debian has brought the library.
        licenses = target.parent / "licenses"
        licenses.mkdir(exist_ok=True)
        for package in held_packages():
            text = pathlib.Path("/usr/share/doc") / package / "copyright"
            if text.exists():
                shutil.copyfile(text, licenses / package)


def held_packages():
    lines = (ROOT / "tools/packages.txt").read_text(encoding="utf-8").splitlines()
    return [package for line in lines if line.startswith("held: ") for package in line.split()[1:]]


def version():
    text = (ROOT / "include/pyro/version.h").read_text(encoding="utf-8")
    return re.search(r'#define PYRO_VERSION "(.+)"', text).group(1)


setup(version=version(), ext_modules=[Extension("pyro_mcp._pyro", sources=[])],
      cmdclass={"build_ext": BuildWithCMake})
