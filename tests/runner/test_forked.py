"""A child that waits to become a kernel: how it ends, and how Jupyter comes to it."""

import signal

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from gliomalib.runner import forked


def test_a_child_that_is_killed_has_ended_so() -> None:
    child = forked.Forked()
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    assert child.wait() == child.poll() == child.returncode == -signal.SIGKILL
    # nobody else may have that number by now
    child.send_signal(signal.SIGKILL)


def test_a_command_that_starts_no_kernel_is_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    child = forked.Forked()
    child.begin(["python", "-m", "something"], "/", {})
    assert child.wait() == 1
    assert "ipykernel_launcher" in capfd.readouterr().err


def test_a_child_that_is_told_nothing_ends_well() -> None:
    child = forked.Forked()
    child.telling.close()
    assert child.wait() == 0


def test_jupyter_takes_the_provisioner_that_is_named() -> None:
    forked.register()
    spec = KernelSpec()
    spec.metadata = {"kernel_provisioner": {"provisioner_name": forked.PROVISIONER}}
    factory = KernelProvisionerFactory.instance()
    assert factory.is_provisioner_available(spec)
    made = factory.create_provisioner_instance("x", spec, None)
    assert isinstance(made, forked.Provisioner)
