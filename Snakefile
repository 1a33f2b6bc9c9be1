# The chain of notebooks. `make report STUDY=…` calls this through `python -m gliomalib study`,
# which adds the flags that make it resumable; the graph itself is CHAIN in gliomalib/runner/chain.py.
#
# It runs in the working folder of the study. No path of the user stands in a rule or a command:
# run.json holds them, and Snakemake sees nothing but the stamps in done/.

import json
from pathlib import Path

from gliomalib.runner.chain import CHAIN, urgency
from gliomalib.runner.jobs import Folders, plan
from gliomalib.runner.stamps import page_digest

RUN = json.loads(Path("run.json").read_text(encoding="utf-8"))
STUDY, UNTIL, PROFILE = RUN["study"], RUN["until"], RUN["profile"]
JOBS = {job.name: job for job in plan(STUDY, Folders.of(**RUN["folders"]), UNTIL)}
STAMPS = {name: f"done/{name}.json" for name in JOBS}
PAGE = "done/page"

# names of notebooks, variants and studies are letters, digits, - and _
CALL = 'exec "$GLIOMA_PYTHON" -m gliomalib'
# on a node a notebook may use what it asked for, on one machine whatever CORES= says
IF_NODE = "GLIOMA_CORES={threads} " if PROFILE else ""


def threads(job):
    if PROFILE:
        return job.node.cpus
    return workflow.cores if CHAIN[job.notebook].alone else max(1, job.study.threads)


def asked(node, gpus=0, alone=False):
    """What a rule asks for: Kubernetes takes any mention of GPUs for a wish, even of none."""
    names = {"mem_mb": node.memory_mb, "runtime": node.minutes}
    names |= {"gpu": gpus} if gpus else {}
    # what measures time has a node of its own
    return names | ({"slurm_extra": "--exclusive"} if alone else {})


rule everything:
    input:
        list(STAMPS.values()) if UNTIL else PAGE,
    default_target: True


for job in JOBS.values():

    rule:
        name: job.name
        input:
            [STAMPS[name] for name in job.needs],
        output:
            STAMPS[job.name],
        # the digest is all that makes a notebook stale: its code, parameters, data and upstream
        params:
            digest=job.digest,
            notebook=job.notebook,
            variant=job.variant,
        priority: urgency(job.notebook, job.variant)
        threads: threads(job)
        resources:
            **asked(
                job.node, job.node.gpus if PROFILE else int(job.on_gpu), CHAIN[job.notebook].alone
            ),
        shell:
            IF_NODE + "{CALL} run {params.notebook} --study {STUDY} --variant={params.variant} --folders run.json"


rule report:
    input:
        list(STAMPS.values()),
    output:
        touch(PAGE),
    params:
        digest=page_digest(list(JOBS.values())),
    resources:
        **asked(next(iter(JOBS.values())).study.node("rest")),
    shell:
        "{CALL} report {STUDY} --folders run.json"
