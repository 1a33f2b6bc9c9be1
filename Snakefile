# The chain of notebooks. `make report STUDY=…` calls this through `python -m gliomalib study`,
# which adds the flags that make it resumable; the graph itself is CHAIN in gliomalib/runner/chain.py.
#
# It runs in the working folder of the study. No path of the user stands in a rule or a command:
# run.json holds them, and Snakemake sees nothing but the stamps in done/.

import json
from pathlib import Path

from gliomalib.runner.chain import CHAIN
from gliomalib.runner.jobs import Folders, plan
from gliomalib.runner.stamps import page_digest

RUN = json.loads(Path("run.json").read_text(encoding="utf-8"))
STUDY, UNTIL = RUN["study"], RUN["until"]
JOBS = {job.name: job for job in plan(STUDY, Folders.of(**RUN["folders"]), UNTIL)}
STAMPS = {name: f"done/{name}.json" for name in JOBS}
PAGE = "done/page"

# names of notebooks, variants and studies are letters, digits, - and _
CALL = 'exec "$GLIOMA_PYTHON" -P -m gliomalib'


rule everything:
    input:
        list(STAMPS.values()) if UNTIL else PAGE,
    default_target: True


for job in JOBS.values():

    rule:
        input:
            [STAMPS[name] for name in job.needs],
        output:
            STAMPS[job.name],
        # the digest is all that makes a notebook stale: its code, parameters, data and upstream
        params:
            digest=job.digest,
            notebook=job.notebook,
            variant=job.variant,
        # what is longest until the end comes first: 15 waits for 11, all judgements for the control
        priority: 5 * (job.notebook == "11_leakage_audit") + 3 * (job.notebook == "06_train_resnet50")
            + (not job.variant) + (job.variant == "truth")
        threads: workflow.cores if CHAIN[job.notebook].alone else max(1, job.study.threads)
        resources:
            gpu=int(job.on_gpu),
        shell:
            "{CALL} run {params.notebook} --study {STUDY} --variant={params.variant} --folders run.json"


rule report:
    input:
        list(STAMPS.values()),
    output:
        touch(PAGE),
    params:
        digest=page_digest(list(JOBS.values())),
    shell:
        "{CALL} report {STUDY} --folders run.json"
