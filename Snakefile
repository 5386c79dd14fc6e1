# Schedules the jobs of one study, each a notebook that papermill executes, and the analyses of its records.
#     snakemake --profile profiles/local --config study=pocket
# Outputs are named by content: a job's name holds a hash of its runs' ids, so an executed notebook is never out of
# date, and a changed setting is another file. Inputs are ancient(): only what is missing is made.
import sys

from stilts.scheduling import analyses, job_notebook, pending, recorded_runs
from stilts.workspace import workspace

opened = str(config["study"])
study = workspace().study(opened)
here = workspace(study)
plan = here.plan(study, opened)
jobs = {job.id: job for job in plan.jobs}
# What is recorded needs no page but in the book.
to_do = {job.id: job for job in pending(plan, recorded_runs(plan, here.store()))}
runs_done = [ancient(job_notebook(here, job)) for job in plan.jobs]
stilts = config.get("stilts", f"{sys.executable} -m stilts.cli")


rule all:
    input:
        [ancient(job_notebook(here, job)) for job in to_do.values()],


rule book:
    input:
        [analysis.notebook for analysis in analyses(here, plan)],


rule notebook:
    input:
        lambda wildcards: [
            ancient(job_notebook(here, parent)) for parent in plan.parents(jobs[wildcards.job]) if parent.id in to_do
        ],
    output:
        str(here.runs / "jobs" / "{key}" / "{job}.ipynb"),
    threads: study.schedule.threads_per_job
    resources:
        mem_mb=study.schedule.memory_mb,
    params:
        command=stilts,
        study=opened,
    shell:
        "{params.command} job {params.study:q} {wildcards.job}"


rule analysis:
    input:
        runs_done,
    output:
        str(here.runs / "analyses" / "{key}" / "{page}.ipynb"),
    resources:
        mem_mb=study.schedule.memory_mb,
    params:
        command=stilts,
        study=opened,
    shell:
        "{params.command} analysis {params.study:q} {wildcards.page}"
