"""A computer for every agent task: real Linux microVMs, without a daemon, root or an account.

    from pyro_mcp import Pyro

    pyro = Pyro()
    print(pyro.run_in_vm(environment="debian:12", command="git --version")["stdout"])
"""

import importlib.util
import sys

if importlib.util.find_spec(f"{__name__}._pyro") is None:
    raise ImportError(
        f"pyro_mcp has no compiled module for Python {sys.version_info.major}.{sys.version_info.minor}; in pyro's source "
        "tree, run 'make python', then set PYTHONPATH to its directory build/python and start /usr/bin/python3",
        name=f"{__name__}._pyro",
    )

from ._client import BytesCallback, Command, Descriptor, OutputCallback, Pyro
from ._handles import Task, Vm, Watch
from ._pyro import VERSION as __version__
from ._server import Server, create_server
from .errors import (
    AlreadyExistsError,
    CancelledError,
    ConflictError,
    DataLossError,
    GuestUnavailableError,
    InternalError,
    InvalidArgumentError,
    IsDirectoryError,
    LimitExceededError,
    MissingToolError,
    NoSpaceError,
    NotDirectoryError,
    NotFoundError,
    PathExistsError,
    PathNotFoundError,
    PathPermissionError,
    PermissionDeniedError,
    ProtocolError,
    PyroError,
    TimedOutError,
    UnavailableError,
    WrongStateError,
)

__all__ = [
    "AlreadyExistsError",
    "BytesCallback",
    "CancelledError",
    "Command",
    "ConflictError",
    "DataLossError",
    "Descriptor",
    "GuestUnavailableError",
    "InternalError",
    "InvalidArgumentError",
    "IsDirectoryError",
    "LimitExceededError",
    "MissingToolError",
    "NoSpaceError",
    "NotDirectoryError",
    "NotFoundError",
    "OutputCallback",
    "PathExistsError",
    "PathNotFoundError",
    "PathPermissionError",
    "PermissionDeniedError",
    "ProtocolError",
    "Pyro",
    "PyroError",
    "Server",
    "Task",
    "TimedOutError",
    "UnavailableError",
    "Vm",
    "Watch",
    "WrongStateError",
    "__version__",
    "create_server",
]
