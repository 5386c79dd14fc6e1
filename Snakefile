# Schedules the jobs of one study, each a notebook that papermill executes, and the analyses of its records.
#     snakemake --profile profiles/local --config study=pocket
# Outputs are named by content: a job's name holds a hash of its runs' ids, so an executed notebook is never out of
# date, and a changed setting is another file. Inputs are ancient(): only what is missing is made.
# All paths are relative to the folder of runs, and inputs are given by functions: what stands in braces in the name of a
# user's folder is no wildcard.
import shlex
from pathlib import Path

from stilts.workspace.notebooks.jobs import list_analyses, find_job_notebook
from stilts.workspace.checkout import find_checkout
from stilts.workspace.plan import Selection
from stilts.workspace.resolution import open_plan
from stilts.workspace.starting import build_command

root = Path(workflow.basedir)
selection = Selection(**{name: tuple(values) for name, values in config.get("selection", {}).items()})
plan = open_plan(find_checkout(root), str(config["study"])).narrow(selection)
runs, schedule = plan.checkout.runs, plan.study.schedule
jobs = {job.id: job for job in plan.jobs}
# What is recorded needs no page but in the book.
to_do = {job.id: job for job in plan.pending(plan.recorded())}


workdir: str(runs)


def pages(of):
    return [ancient(str(find_job_notebook(plan.checkout, job).relative_to(runs))) for job in of]


def parents_to_do(wildcards):
    return pages(parent for parent in plan.parents(jobs[wildcards.job]) if parent.id in to_do)


def shown_analyses(_):
    # Whoever asks for them has named them: the name depends on records of other studies, which may run at the same time.
    return config.get("analyses") or [str(analysis.notebook.relative_to(runs)) for analysis in list_analyses(plan)]


# What a job prints, and the code that it ends with, stand in its log for whoever started Snakemake.
stilts = f"(cd {shlex.quote(str(root))} && {shlex.join(build_command('-m', 'stilts.cli'))}"
reference = shlex.quote(plan.reference)
selected = shlex.join(selection.options())
into_log = ") > {log:q} 2>&1 || {{ code=$?; echo exit code: $code >> {log:q}; exit $code; }}"


rule all:
    input:
        lambda _: pages(to_do.values()),


rule book:
    input:
        lambda _: pages(plan.jobs),
        shown_analyses,


rule notebook:
    input:
        parents_to_do,
    output:
        "jobs/{key}/{job}.ipynb",
    log:
        "logs/jobs/{key}/{job}.log",
    priority: lambda wildcards: plan.priority(jobs[wildcards.job])
    threads: schedule.threads_per_job
    resources:
        mem_mb=schedule.memory_mb,
        gpu_places=1,  # of as many as the local profile says; without GPUs, and on Slurm, it has no limit
    shell:
        "{stilts} job {reference} {wildcards.job:q} {selected}" + into_log


# An analysis reads records, and so waits for the jobs that write them; the pages of recorded runs are none of its input.
rule analysis:
    input:
        lambda _: pages(to_do.values()),
    output:
        "analyses/{key}/{page}.ipynb",
    log:
        "logs/analyses/{key}/{page}.log",
    resources:
        mem_mb=schedule.memory_mb,
    shell:
        "{stilts} analysis {reference} {wildcards.page:q} --folder {wildcards.key:q}" + into_log
