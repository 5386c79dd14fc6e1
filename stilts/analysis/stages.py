"""Which intermediate trainings the scores of a condition rest on.

A training that several conditions share is named after its tasks, not after one of them. So are all stages of a
condition but the last, and that too where the condition has adapters or target settings of its own. Parents tell whose
they are.
"""

from collections.abc import Iterable, Mapping

from stilts.study.records import Record


def trace_stages(records: Iterable[Record]) -> dict[str, list[list[Record]]]:
    """Return the stages of each condition that has any, a list for each of its last stages (seeds), the last first.

    Conditions stand in the order of the records. An intermediate training on which no other record rests stands under
    its own name.
    """
    known = {record.id: record for record in records}
    lines: dict[str, dict[str, list[Record]]] = {}
    traced: set[str] = set()
    # Children stand after their parents: an own name counts only once all that rests on a training has been seen.
    ordered = sorted(reversed(known.values()), key=lambda record: record.run.phase == "intermediate")
    for record in ordered:
        stages = [each for each in _trace(record, known) if each.run.phase == "intermediate"]
        if stages and record.id not in traced:
            lines.setdefault(record.run.condition, {})[stages[0].id] = stages
            traced |= {each.id for each in stages}
    names = dict.fromkeys(record.run.condition for record in known.values())
    return {name: list(lines[name].values()) for name in names if name in lines}


def _trace(record: Record, known: Mapping[str, Record]) -> list[Record]:
    """Return a record and all known ones that it rests on, the nearest first."""
    found = [record]
    while (parents := found[-1].run.parents) and parents[0] in known:
        found.append(known[parents[0]])
    return found
