# The chain of notebooks. `make report STUDY=…` calls this through `python -m gliomalib study`,
# which adds the flags that make it resumable; the graph itself is CHAIN in gliomalib/runner/chain.py.
#
# config: study, source (folder of the user's patients), data_dir, report_dir, until (a notebook)

import sys

sys.path.insert(0, workflow.basedir)

from gliomalib import runner

STUDY = str(config.get("study", "demo"))
FOLDERS = runner.Folders.of(
    str(config.get("data_dir", "")), str(config.get("report_dir", "")), str(config.get("source", ""))
)
UNTIL = config.get("until", "")
JOBS = {job.name: job for job in runner.plan(STUDY, FOLDERS, UNTIL)}
PAGE = FOLDERS.reports / STUDY / "index.html"

CALL = f"cd '{workflow.basedir}' && exec '{sys.executable}' -m gliomalib"
WHERE = " ".join(
    f"{flag} '{folder}'"
    for flag, folder in {
        "--data-dir": FOLDERS.data,
        "--report-dir": FOLDERS.reports,
        "--source": FOLDERS.source,
    }.items()
    if folder
)


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
        threads: workflow.cores if job.alone else max(1, job.study.threads)
        resources:
            gpu=int(job.on_gpu),
        shell:
            "{CALL} run {params.notebook} --study {STUDY} --variant '{params.variant}' {WHERE}"


rule report:
    input:
        [job.stamp for job in JOBS.values()],
    output:
        PAGE,
    params:
        digest=runner.page_digest(list(JOBS.values())),
    shell:
        "{CALL} report {STUDY} {WHERE}"
