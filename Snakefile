# The chain of notebooks. `make report STUDY=…` calls this through `python -m gliomalib study`,
# which adds the flags that make it resumable; the graph itself is CHAIN in gliomalib/runner/chain.py.
#
# config: study, source (folder of the user's patients), data_dir, report_dir, until (a notebook)

import shlex
import sys

sys.path.insert(0, workflow.basedir)

from gliomalib.runner.jobs import Folders, plan
from gliomalib.runner.stamps import page_digest

STUDY = str(config.get("study", "demo"))
FOLDERS = Folders.of(
    str(config.get("data_dir", "")), str(config.get("report_dir", "")), str(config.get("source", ""))
)
UNTIL = config.get("until", "")
JOBS = {job.name: job for job in plan(STUDY, FOLDERS, UNTIL)}
PAGE = FOLDERS.reports / STUDY / "index.html"

CALL = f"cd {shlex.quote(workflow.basedir)} && exec {shlex.quote(sys.executable)} -m gliomalib"
WHERE = ["--data-dir", str(FOLDERS.data), "--report-dir", str(FOLDERS.reports)]
WHERE = shlex.join([*WHERE, "--source", str(FOLDERS.source)] if FOLDERS.source else WHERE)


rule everything:
    input:
        [job.stamp for job in JOBS.values()] if UNTIL else PAGE,
    default_target: True


for job in JOBS.values():

    rule:
        name:
            job.name.replace(".", "__").replace("-", "_")
        input:
            [JOBS[name].stamp for name in job.needs],
        output:
            stamp=job.stamp,
            record=job.record,
            executed=job.executed,
        # the digest is all that makes a notebook stale: its code, parameters, data and upstream
        params:
            digest=job.digest,
            notebook=job.notebook,
            variant=job.variant,
        # what is longest until the end comes first: 15 waits for 11, all judgements for the control
        priority: 5 * (job.notebook == "11_leakage_audit") + 3 * (job.notebook == "06_train_resnet50")
            + (not job.variant) + (job.variant == "truth")
        threads: workflow.cores if job.alone else max(1, job.study.threads)
        resources:
            gpu=int(job.on_gpu),
        shell:
            "{CALL} run {params.notebook} --study {STUDY:q} --variant={params.variant:q} {WHERE}"


rule report:
    input:
        [job.stamp for job in JOBS.values()],
    output:
        PAGE,
    params:
        digest=page_digest(list(JOBS.values())),
    shell:
        "{CALL} report {STUDY:q} {WHERE}"
