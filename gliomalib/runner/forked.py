"""A kernel that is a fork of this process, which has loaded everything, and no fresh Python."""

import json
import os
import sys
import time
import traceback
from importlib.metadata import EntryPoint
from pathlib import Path
from subprocess import Popen
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

PROVISIONER = "gliomalib-forked"
"""The name under which Jupyter knows ``Provisioner``."""


class Forked:
    """A child of this process that becomes a kernel when it is told how; handled like a Popen.

    Where ``telling``, the stream that it reads, ends without a word, it ends as well.
    It is forked while this process has no thread: whatever a lock of another thread guards would
    be lost in it.
    """

    stdin = stdout = stderr = None
    returncode: int | None = None

    def __init__(self) -> None:
        reading, telling = os.pipe()
        self.telling = os.fdopen(telling, "w", encoding="utf-8")
        self.pid = os.fork()
        if self.pid == 0:
            self.telling.close()
            _become_a_kernel(reading)
        os.close(reading)

    def begin(self, command: list[str], folder: str, variables: dict[str, str]) -> None:
        """Let it be the kernel that ``command`` would start there with these variables."""
        variables = {**variables, "JPY_PARENT_PID": str(os.getpid())}
        with self.telling as stream:
            json.dump([command, folder, variables], stream)

    def poll(self) -> int | None:
        """Return the exit code, None as long as it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self) -> int:
        """Return the exit code as soon as there is one."""
        while (code := self.poll()) is None:
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Provisioner(LocalProvisioner):
    """Starts the kernel of a manager from its ``forked``, where it has one."""

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        """Start a kernel with a command, by a fork that does the same."""
        forked: Forked | None = getattr(self.parent, "forked", None)
        if forked is None:
            return await super().launch_kernel(cmd, **options)
        self.cwd = options.get("cwd") or Path.cwd()
        forked.begin(cmd, str(self.cwd), options["env"])
        self.process = cast("Popen[bytes]", forked)
        self.pid = self.pgid = forked.pid
        return self.connection_info


def register() -> None:
    """Make the provisioner known to Jupyter, which looks for it among installed packages."""
    place = EntryPoint(PROVISIONER, f"{__name__}:Provisioner", KernelProvisionerFactory.GROUP_NAME)
    KernelProvisionerFactory.instance().provisioners[PROVISIONER] = place


def _become_a_kernel(reading: int) -> None:
    """Wait for a command, be the kernel that it asks for, and never come back."""
    code = 1
    try:
        os.setsid()
        with os.fdopen(reading, encoding="utf-8") as stream:
            text = stream.read()
        # nothing was said where the run ended before it needed a kernel
        if text:
            command, folder, variables = json.loads(text)
            os.environ.clear()
            os.environ.update(variables)
            os.chdir(folder)
            # a kernel may import what lies beside its notebook, which -P forbade what was loaded
            sys.path.append("")
            sys.argv = command[command.index("ipykernel_launcher") :]
            from ipykernel.kernelapp import launch_new_instance  # noqa: PLC0415

            launch_new_instance()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        # nothing of the run that was forked may go on twice
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
