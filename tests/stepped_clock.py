"""A clock of the host that a test may step: that of the supervisors alone."""

import pathlib
import shutil

import harness

SUPERVISOR = harness.BIN.parent / "tests/stepped/pyro-supervisor"


class SteppedClock:
    """Programs in a directory of their own, whose supervisor reads how far its clock is ahead from a file beside it."""

    def __init__(self, directory):
        if not SUPERVISOR.exists():
            harness.cannot_run("pyro-supervisor-stepped is not built")
        self.programs = pathlib.Path(directory)
        (self.programs / "clock").mkdir(parents=True)
        # By its own path it finds the file, so a link would not do.
        shutil.copy(SUPERVISOR, self.programs)
        for name in ("pyro-agent", "pyro-net", "pyro-proxy", "pyro-usermode-kernel", "network-presets", "download-hosts"):
            (self.programs / name).symlink_to(harness.BIN / name)
        self.step_to(0)

    def use(self, pyro):
        """The supervisors that this Pyro starts from now on have this clock."""
        pyro.env["PYRO_LIBEXEC_DIR"] = str(self.programs)

    def step_to(self, seconds):
        """So far ahead of this host's clock."""
        made = self.programs / "ahead-next"
        made.write_text(f"{round(seconds * 1e9)}\n")
        made.rename(self.programs / "clock/ahead")
