"""What notebooks ask of a cluster follows the study, and is no part of a result."""

from gliomalib import machines, settings


def test_a_node_has_a_cpu_for_each_thread_and_a_gpu_where_one_is_used() -> None:
    study = settings.load("demo", {"threads": 6, "device": "auto", "cluster.data.cpus": 8})
    assert (study.node("data").cpus, study.node("networks").cpus) == (8, 6)
    assert (study.node("networks").gpus, study.node("rest").gpus) == (1, 0)
    assert settings.load("demo", {"device": "cpu"}).node("networks").gpus == 0


def test_what_a_cluster_is_asked_for_is_no_part_of_a_record() -> None:
    study = settings.load("demo", {"cluster.rest.minutes": 7})
    assert study.cluster.rest == machines.Node(minutes=7)
    assert study.model_dump() == settings.load("demo").model_dump()


def test_a_training_has_one_device_unless_it_says_so() -> None:
    assert settings.load("demo").compute == machines.Compute(devices=1, num_nodes=1, steps=None)
