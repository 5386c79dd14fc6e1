# Schedules the jobs of one study: each is a notebook that papermill executes.
#     snakemake --profile profiles/local --config study=pocket
# Outputs are named by content: a job's name holds a hash of its runs' ids, so an executed notebook is never out of
# date, and a changed setting is another file. Inputs are ancient(): only what is missing is made.
from stilts.scheduling import job_notebook
from stilts.workspace import workspace

study = workspace().study(config["study"])
here = workspace(study)
plan = here.plan(study)
jobs = {job.id: job for job in plan.jobs}
folder = job_notebook(here, plan.jobs[0]).parent


rule all:
    input:
        [job_notebook(here, job) for job in plan.jobs],


rule notebook:
    input:
        lambda wildcards: [ancient(job_notebook(here, parent)) for parent in plan.parents(jobs[wildcards.job])],
    output:
        str(folder / "{job}.ipynb"),
    threads: study.schedule.threads_per_job
    resources:
        mem_mb=study.schedule.memory_mb,
    shell:
        "stilts job {config[study]} {wildcards.job}"
