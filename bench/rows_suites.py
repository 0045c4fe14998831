"""The test suites of real projects, from Debian's source packages: on the host, in runsc, in user mode, and in an emulated guest."""

import dataclasses
import pathlib
import re

from archive import Archive, release
from containers import newer_runsc, newer_runsc_name
from context import Context
from figures import Goal, Row, series_row
from places import Guest, Host, Place, Sandbox
from program import timed
from rounds import Contender, Failed, say

ENVIRONMENT = "debian:12-build"
HOST, GUEST, TCG = "host", "user mode", "TCG"
LIMIT_SECONDS = 1200  # For one suite, or for what comes before it.
SHARE = 0.15  # Of a group's time, for each project, and again for it under TCG.
TCG_ROUNDS = 3


MODULES = "python-modules"  # In the directory of sources.


@dataclasses.dataclass(frozen=True)
class Project:
    package: str  # Of sources.
    label: str
    prepare: str  # For a shell in the sources; done once, on the host, and not timed.
    suite: str  # Timed.
    count: str  # What the suite's output says of the number of tests, as a regular expression: it is the same in every place.
    needs: tuple[str, ...] = ()  # Packages of Python modules that the environment lacks; they come along in the directory of sources.


PROJECTS = [  # The last is the shortest, for a quick look.
    Project("jansson", "C: jansson, `make check`", "autoreconf -fi && ./configure -q && make -s",
            "make -s -C test clean && make -s check && echo cases: $(tr -cd . <test/run-suites.log | wc -c)", r"cases: (\d+)"),
    Project("jinja2", "Python: jinja2, `pytest`", "true",
            f"PYTHONPATH={MODULES}:src python3 -B -m pytest -q -p no:cacheprovider tests", r"(\d+) passed",
            ("python3-pytest", "python3-pluggy", "python3-iniconfig", "python3-packaging", "python3-attr", "python3-markupsafe")),
]


class Suite:
    """One project in every place that is asked for."""

    def __init__(self, context: Context, project: Project, sources: pathlib.Path, runsc: str):
        self.context = context
        self.project = project
        self.sources = sources
        self.makers = {HOST: self.on_host, runsc: self.in_runsc, GUEST: lambda: self.in_guest("usermode"), TCG: lambda: self.in_guest("tcg")}
        self.made: dict[str, Place] = {}
        self.counts: dict[str, str] = {}

    def copy(self, name: str) -> pathlib.Path:
        target = self.context.scratch / f"{self.project.package}-{name}"
        timed(["cp", "-a", self.sources, target])
        return target

    def on_host(self) -> Place:
        return Host(self.context.container_root(ENVIRONMENT), self.copy("host"))

    def in_runsc(self) -> Place:
        label = f"runsc-{self.project.package}"
        return Sandbox(newer_runsc(self.context, ENVIRONMENT, label, self.copy("runsc")), self.context.stack)

    def in_guest(self, machine: str) -> Place:
        return Guest(self.context.on(machine), ENVIRONMENT, self.context.stack, self.sources)

    def contender(self, name: str) -> Contender:
        def call() -> float:
            if name not in self.made:
                say(f"usermode-suites: {self.project.package}, {name}")
                self.made[name] = self.makers[name]()
            taken, said = self.made[name].call(["sh", "-c", f"({self.project.suite}) 2>&1"], LIMIT_SECONDS)
            found = re.findall(self.project.count, said.decode(errors="replace"))
            if not found:
                raise Failed(f"the suite says of no test that it ran: {said[-200:]!r}")
            self.counts[name] = "+".join(found)
            if len(set(self.counts.values())) > 1:
                raise Failed(f"not the same tests ran everywhere: {self.counts}")
            return taken

        return call


def measure(context: Context) -> list[Row]:
    context.pyro.pull(ENVIRONMENT)
    archive = Archive(context.kept / release(), release(), "deb", "deb-src")
    rows: list[Row] = []
    for project in PROJECTS[-1:] if context.quick else PROJECTS:
        try:
            rows += measure_project(context, project, sources_of(context, project, archive))
        except Failed as failure:
            rows.append(Row(f"the suite of {project.label}", why=str(failure)))
    return rows


def sources_of(context: Context, project: Project, archive: Archive) -> pathlib.Path:
    """A directory with all that the suite needs, prepared."""
    target = context.scratch / f"{project.package}-sources"
    timed(["cp", "-a", archive.sources(project.package), target])
    for package in project.needs:
        (target / MODULES).mkdir(exist_ok=True)
        timed(["cp", "-a", f"{archive.unpacked(package)}/usr/lib/python3/dist-packages/.", target / MODULES])
    Host(context.container_root(ENVIRONMENT), target).call(["sh", "-c", project.prepare], LIMIT_SECONDS)
    return target


def measure_project(context: Context, project: Project, sources: pathlib.Path) -> list[Row]:
    runsc = newer_runsc_name(context.kept)
    suite = Suite(context, project, sources, runsc)
    group = f"usermode-suites, {project.package}"
    found = {name: suite.contender(name) for name in (HOST, GUEST, runsc)}
    series = context.measure(group, found, context.seconds * SHARE, least=1)
    label = f"{project.label}, in user mode"
    rows = [series_row(series, label, HOST, Goal(2.0, "≤ 2"), GUEST, HOST),
            series_row(series, label, f"`{runsc}`", Goal(1.0, "≤ 1.0"), GUEST, runsc)]
    if context.quick:
        context.notes.append(f"{group}: a quick look leaves out TCG and the other suites")
        return rows
    # Emulated it takes many times as long, so it is measured seldom.
    pair = {name: suite.contender(name) for name in (GUEST, TCG)}
    emulated = context.measure(f"{group}, TCG", pair, context.seconds * SHARE, least=1, rounds=TCG_ROUNDS, warm_up=False)
    rows.append(series_row(emulated, label, TCG, Goal(1 / 8, "≤ 1/8"), GUEST, TCG))
    for row in rows:
        row.sides += f"; {'+'.join(sorted(set(suite.counts.values())))} tests" if suite.counts else ""
    return rows
