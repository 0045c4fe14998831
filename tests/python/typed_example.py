"""A program that uses the types: mypy --strict has nothing to say about it, and it runs."""

import json
import sys

from pyro_mcp import NotFoundError, Pyro, PyroError
from pyro_mcp.results import ExecResult, TaskExecResult


def describe(result: ExecResult) -> str:
    ready = result["timings"]["ready_ms"]
    started = "was ready" if ready is None else f"ready after {ready} ms"
    return f"exit {result['exit_code']} in {result['duration_ms']} ms, guest {started}"


def main(environment: str) -> int:
    pyro = Pyro()
    lines: list[str] = []
    try:
        with pyro.task(environment=environment) as task:
            done: TaskExecResult = task.exec(command="echo typed", timeout_seconds=250,
                                             on_stdout=lines.append)
            print(describe(done), "".join(lines).strip())
            raw: bytes = task.exec(command=["printf", "a"], output="bytes")["stdout"]
            assert raw == b"a"
            last = task.status()["last_command"]
            assert last is not None and last["exit_code"] == 0
    except NotFoundError as error:
        print(error.message, error.hint, file=sys.stderr)
        return 1
    except PyroError as error:
        print(error.code, error, file=sys.stderr)
        return 2
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
