"""A SLURM of its own on this machine: munge, a controller and one node, gone when it is left."""

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.processes import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])

SETTINGS = """
ClusterName=test
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
MpiDefault=none
# neither systemd nor cgroups are needed
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# two processors and 8 GB, whatever this machine has
SlurmdParameters=config_overrides
NodeName=localhost CPUs=2 RealMemory=8000
PartitionName=main Nodes=ALL Default=YES MaxTime=120 State=UP
"""


def missing() -> list[str]:
    """Return which of SLURM's programs are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=PATH)]


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start SLURM in a folder and yield the environment in which its commands find it."""
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    settings = folder / "slurm.conf"
    settings.write_text(SETTINGS.format(folder=folder, user=getpass.getuser(), ports=free_ports(2)))
    # the plugin takes every variable SLURM_… from the step of a job; most clusters have their
    # settings in /etc, where this one must not write
    (folder / "srun").write_text(
        f'#!/bin/sh\nSLURM_CONF={settings} exec {shutil.which("srun")} "$@"\n'
    )
    (folder / "srun").chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{PATH}", "SLURM_CONF": str(settings)}
    munge = {name: folder / f"munge.{name}" for name in ("pid", "log", "seed")}
    files = [f"--{name}-file={path}" for name, path in munge.items()]
    key = [f"--key-file={folder}/munge.key", f"--socket={folder}/munge.sock"]
    with ExitStack() as stack:
        daemons = (
            ["munged", "--foreground", "--force", *key, *files],
            ["slurmctld", "-D"],
            ["slurmd", "-D", "-N", "localhost"],
        )
        for command in daemons:
            process = stack.enter_context(daemon(command, folder, environment))
            if command[0] == "munged":
                assert wait_for((folder / "munge.sock").exists, process), "munged does not listen"
        stack.callback(cancel, environment)
        # where the node does not become idle, slurmctld.log says why
        wait_for(lambda: said(environment, "sinfo", "-h", "-o", "%t") == "idle")
        yield environment


def said(environment: dict[str, str], *command: str) -> str:
    """Return what a command of SLURM prints."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def cancel(environment: dict[str, str]) -> None:
    """Cancel every job of this SLURM, so that none outlives it."""
    said(environment, "scancel", f"--user={getpass.getuser()}")
    wait_for(lambda: not said(environment, "squeue", "-h"))


@contextmanager
def daemon(
    command: Sequence[str], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program beside this process and end it, also when this process is killed."""
    with (folder / f"{command[0]}.out").open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], env=environment, stdout=out, stderr=out
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_ports(n: int) -> list[int]:
    """Return ports that nobody listens at."""
    with ExitStack() as stack:
        doors = [stack.enter_context(socket.socket()) for _ in range(n)]
        for door in doors:
            door.bind(("127.0.0.1", 0))
        return [door.getsockname()[1] for door in doors]
