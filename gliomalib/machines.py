"""On what a study computes: devices of a training, and what notebooks ask of a cluster."""

from pydantic import Field

from gliomalib.inputs import Model


class Compute(Model):
    """On how much a network is trained: devices of each node, nodes, and steps of an epoch.

    Each device takes its share of every batch. ``steps`` is for rehearsals (None: all).
    """

    devices: int = Field(1, ge=1)
    num_nodes: int = Field(1, ge=1)
    steps: int | None = Field(None, ge=1)


class Node(Model):
    """What one notebook asks of a cluster; it has at least as many CPUs as the study's threads."""

    cpus: int = Field(1, ge=1)
    memory_mb: int = Field(16_000, ge=1)
    minutes: int = Field(240, ge=1)
    gpus: int = Field(0, ge=0)


class Cluster(Model):
    """What notebooks ask of a cluster: those of ``data`` (01, 02), of ``networks``, and the rest.

    No number depends on it: it is left out of records and digests, and its change makes nothing
    stale. GPUs are asked for unless the study's device is ``cpu``.
    """

    data: Node = Node(cpus=4)
    networks: Node = Node(memory_mb=32_000, minutes=1440, gpus=1)
    rest: Node = Node()
