"""The memory that jobs may fill: the least of all limits, read from trees of control groups as machines show them."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stilts.workspace.memory import find_memory

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
V1 = "35 31 0:32 {top} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory"
V2 = "41 31 0:38 {top} /sys/fs/cgroup{place} rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
NONE_V1 = str(2**63 - 4096)


def tree(root: Path, groups: str, mounts: str, limits: dict[str, str]) -> Path:
    """Lay out a machine's `proc` and `sys`: lines of `cgroup`, lines of `mountinfo`, limit files by their path."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(groups + "\n")
    (root / "proc" / "self" / "mountinfo").write_text("23 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts + "\n")
    for name, text in limits.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


MACHINES = {
    "no groups": ("", "", {}, PHYSICAL),
    "v2, own group": (
        "0::/system.slice/job_1/step_0", V2.format(top="/", place=""),
        {"system.slice/memory.max": "max", "system.slice/job_1/step_0/memory.max": str(300 * 2**20)}, 300,
    ),
    "v2, a group above has less": (
        "0::/slurm/job_1/step_0", V2.format(top="/", place=""),
        {"slurm/job_1/memory.max": str(200 * 2**20), "slurm/job_1/step_0/memory.max": str(300 * 2**20)}, 200,
    ),
    "v2, memory.high is less": (
        "0::/user", V2.format(top="/", place=""),
        {"user/memory.max": str(300 * 2**20), "user/memory.high": str(250 * 2**20)}, 250,
    ),
    "v2, a container sees its group as the top": (
        "0::/", V2.format(top="/", place=""), {"memory.max": str(150 * 2**20)}, 150,
    ),
    "v2, other groups do not count": (
        "0::/mine", V2.format(top="/", place=""), {"other/memory.max": str(10 * 2**20), "mine/memory.max": "max"},
        PHYSICAL,
    ),
    "v1, own group": (
        "4:memory:/slurm/uid_0/job_7\n1:cpu:/", V1.format(top="/"),
        {"memory/slurm/uid_0/job_7/memory.limit_in_bytes": str(120 * 2**20),
         "memory/slurm/memory.limit_in_bytes": NONE_V1}, 120,
    ),
    "v1, a group above has less": (
        "4:memory:/slurm/job_7", V1.format(top="/"),
        {"memory/slurm/memory.limit_in_bytes": str(110 * 2**20),
         "memory/slurm/job_7/memory.limit_in_bytes": NONE_V1}, 110,
    ),
    "v1, a container is given its own group alone": (
        "4:memory:/docker/abc", V1.format(top="/docker/abc"), {"memory/memory.limit_in_bytes": str(130 * 2**20)}, 130,
    ),
    "v1, no limit": ("4:memory:/", V1.format(top="/"), {"memory/memory.limit_in_bytes": NONE_V1}, PHYSICAL),
    "both versions": (
        "4:memory:/a\n0::/b", V1.format(top="/") + "\n" + V2.format(top="/", place="/unified"),
        {"memory/a/memory.limit_in_bytes": str(90 * 2**20), "unified/b/memory.max": str(80 * 2**20)}, 80,
    ),
}  # fmt: skip


@pytest.mark.parametrize("groups, mounts, limits, expected", MACHINES.values(), ids=MACHINES)
def test_the_least_limit_of_a_process_s_own_groups_counts(tmp_path, groups, mounts, limits, expected):
    assert find_memory(tree(tmp_path, groups, mounts, limits), {}) == expected


ALLOCATIONS = {
    "a node": ({"SLURM_MEM_PER_NODE": "100"}, 100),
    "all of a node": ({"SLURM_MEM_PER_NODE": "0"}, PHYSICAL),
    "by processor": ({"SLURM_MEM_PER_CPU": "50", "SLURM_CPUS_ON_NODE": "3"}, 150),
    "by GPU": ({"SLURM_MEM_PER_GPU": "60", "SLURM_GPUS_ON_NODE": "2"}, 120),
    "of no number": ({"SLURM_MEM_PER_NODE": "many"}, PHYSICAL),
}


@pytest.mark.parametrize("variables, expected", ALLOCATIONS.values(), ids=ALLOCATIONS)
def test_an_allocation_of_slurm_counts(tmp_path, variables, expected):
    assert find_memory(tmp_path, variables) == expected


@pytest.mark.parametrize("kind", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_a_limit_of_the_process_counts(kind):
    code = (
        "from pathlib import Path; from stilts.workspace.memory import find_memory; "
        "print(find_memory(Path('/nowhere'), {}))"
    )
    limit = 700 * 2**20
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(getattr(resource, kind), (limit, limit)),
    ).stdout  # fmt: skip
    assert int(printed) == 700
