from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stilts.analysis.bootstrap import align, resample
from stilts.analysis.claims import OVER_NONE, Claim, Evidence, Part, choose_on_dev, judge_claims
from stilts.analysis.conditions import (
    average_differences,
    choose_by_dev,
    estimate_differences,
    list_comparisons,
    list_single_tasks,
    pair_with_english,
)
from stilts.analysis.effects import estimate_contrast
from stilts.analysis.estimates import Estimate
from stilts.analysis.ledger import (
    compare_ledgers,
    describe_agreement,
    describe_verdicts,
    list_statements,
    show_claims,
    show_ledgers,
    tabulate_parts,
)
from stilts.analysis.verdicts import OPEN, Judgement, Verdict
from stilts.analysis.wording import format_signed

LANGUAGES = ("de", "en", "hi", "ja", "sw", "tr", "vi", "zh")
TARGETS = ("intent", "command-nli", "command-qa", "ui-retrieval", "ui-mining")
EXAMPLES = 80
SEEDS = tuple(range(1, 9))
LAYERS = 12
TASKS = {"none": (), "nli": ("nli",), "qa": ("qa",), "multi": ("nli", "qa")}
XTREME = ("xnli", "xquad", "mlqa", "tydiqa", "bucc2018", "tatoeba")
PILOT = {
    "none": (), "mnli": ("mnli",), "squad": ("squad",), "hellaswag": ("hellaswag",),
    "multi": ("mnli", "squad", "hellaswag"), "mnli-mlm": ("mnli", "mlm"), "translated": ("xnli-dev-translated",),
}  # fmt: skip


def part(value, se=0.3, seeds=3, **more):
    return Part("x", "x", Estimate(value, value - 2 * se, value + 2 * se, 0.5, se, np.inf, seeds), **more)


def replicates(effects, conditions=("none", "nli", "qa", "multi"), targets=TARGETS, state=0, single=()):
    """Draw answers whose rate rises by the effect of a condition or of (condition, target); `single` have one seed."""
    generator = np.random.default_rng(state)
    counts = {}
    for target in targets:
        runs = {}
        for condition in conditions:
            rate = 0.4 + effects.get((condition, target), effects.get(condition, 0.0))
            frame = pd.DataFrame(
                {"language": np.repeat(LANGUAGES, EXAMPLES), "example": np.tile(np.arange(EXAMPLES), len(LANGUAGES))}
            )
            for seed in SEEDS[:1] if condition in single else SEEDS:
                right = (generator.random(len(frame)) < rate).astype(float)
                runs[condition, seed] = frame.assign(matches=right, predicted=1, gold=1)
        counts[target] = align(target, runs)
    return resample(counts, 300, np.random.default_rng(0))


def by_layer(replicates, gains=None, targets=("ui-retrieval", "tatoeba")):
    """Return retrieval scores by layer: of each layer those of the replicates, and what a condition gains there."""
    rows = []
    for target in (name for name in targets if name in replicates):
        part = replicates[target]
        for place, (condition, seed) in enumerate(part.runs):
            scores = part.run_scores[:, place]
            for language, score in zip(part.languages, scores, strict=True):
                more = (gains or {}).get(condition, {})
                layers = {f"layer_{layer}": score + more.get(layer, 0.0) for layer in range(1, LAYERS + 1)}
                rows.append({"condition": condition, "target": target, "seed": seed, "language": language, **layers})
    return pd.DataFrame(rows)


def found(replicates, dev_scores, tasks=TASKS, suite="pocket", scores=None, **more):
    layers = by_layer(replicates) if scores is None else scores
    evidence = Evidence(suite, replicates, dev_scores, tasks, layers, layers=LAYERS, **more)
    return {claim.id: claim for claim in judge_claims(evidence)}


def dev(scores):
    return pd.DataFrame(scores, columns=["condition", "target", "score"])


DEV = dev([("none", "intent", 99), ("nli", "intent", 70), ("qa", "intent", 80), ("multi", "intent", 80),
           ("nli", "command-qa", 60), ("qa", "command-qa", 50)])  # fmt: skip


def test_a_planted_world_in_which_the_claims_hold():
    strong = {"nli": 0.15, "qa": 0.15, "multi": 0.3, ("nli", "command-nli"): 0.3, ("qa", "command-nli"): -0.1,
              ("multi", "command-nli"): -0.1, ("nli", "command-qa"): 0.15}  # fmt: skip
    claims = found(replicates(strong), DEV)
    assert {name: str(claim.verdict) for name, claim in claims.items()} == {
        "C1": "supported",
        "C2": "supported",
        "C3": "cannot tell",  # mining is recorded after no other layer than the last
        "C4": "supported",
        "C5": "supported",
        "C6": "could not be tested",
        "Same task twice": "supported",
    }
    assert [str(each.judgement.verdict) for each in claims["C3"].parts] == ["supported", "could not be tested"]
    assert [each.text for each in claims["C3"].parts] == [
        "ui-retrieval after layer 7, mean over conditions", "ui-mining after the last layer, mean over conditions",
    ]  # fmt: skip


def test_a_planted_world_in_which_they_do_not():
    weak = {"nli": -0.15, "qa": -0.1, "multi": -0.25, ("nli", "command-nli"): 0.2, ("qa", "command-nli"): 0.2}
    claims = found(replicates(weak), DEV)
    assert {claims[name].verdict for name in ("C1", "C2", "C3", "C4", "C5")} == {Verdict.CONTRADICTED}


def test_without_effects_nothing_is_supported_or_contradicted():
    worlds = [found(replicates({}, state=state), DEV) for state in range(8)]
    verdicts = [world[name].verdict for world in worlds for name in ("C1", "C2", "C3", "C4", "C5")]
    assert sum(each in (Verdict.SUPPORTED, Verdict.CONTRADICTED) for each in verdicts) <= 2


def test_the_same_task_twice_counts_in_its_own_line_alone():
    same = {("nli", "command-nli"): 0.4, ("qa", "command-qa"): 0.4}
    scores = dev([("nli", "command-nli", 99), ("qa", "command-nli", 1), ("nli", "command-qa", 1)])
    drawn = replicates(same)
    claims = found(drawn, scores)

    def gain(condition, target):
        return format_signed(estimate_contrast(drawn, {target: {condition: 1.0, "none": -1.0}}).value)

    assert claims["Same task twice"].verdict is Verdict.SUPPORTED
    assert all(claims[name].verdict not in (Verdict.SUPPORTED, Verdict.CONTRADICTED) for name in ("C1", "C2", "C5"))
    assert claims["C5"].tested.endswith(
        f"Chosen: `qa` for `command-nli` ({gain('qa', 'command-nli')}), `nli` for `command-qa` "
        f"({gain('nli', 'command-qa')}). The interval takes the choice as given."
    )
    assert [each.text for each in claims["C1"].parts] == [
        "qa, mean gain over 4 targets", "nli, mean gain over 4 targets",
    ]  # fmt: skip


def test_all_tasks_together_must_beat_none_too():
    """Above the best single one, which loses, and below no intermediate training."""
    claims = found(replicates({"nli": -0.3, "qa": -0.3, "multi": -0.12}), DEV)
    assert [str(each.judgement.verdict) for each in claims["C2"].parts] == ["supported", "contradicted"]
    assert claims["C2"].verdict is Verdict.CONTRADICTED


def test_without_a_target_of_another_kind_no_single_task_is_the_best():
    claim = found(replicates({"multi": 0.3}, ("none", "nli", "multi"), ("command-nli",)), DEV)["C2"]
    assert [each.key for each in claim.parts] == [OVER_NONE]
    assert (claim.note, claim.incomplete, claim.verdict) == (
        "no single task shares with `multi` a target that is another task", True, Verdict.UNCLEAR,
    )  # fmt: skip


def test_the_choice_of_the_best_is_corrected_for_the_tasks_that_could_be_chosen():
    """Inference shares with all tasks together its own target alone, and so could not be chosen."""
    drawn = replicates({"qa": 0.1, "multi": 0.3}, targets=("intent", "command-nli"))
    some = {"intent": drawn["intent"].only(["none", "qa", "multi"]), "command-nli": drawn["command-nli"]}
    claim = found(some, DEV)["C2"]
    assert (claim.parts[0].text, claim.parts[0].choices) == ("multi minus qa, the best single, over 2 targets", 1)
    assert "the best among 1 on the same scores" in claim.tested


def test_one_seed_decides_nothing(monkeypatch):
    monkeypatch.setattr("test_claims.SEEDS", (1,))
    claims = found(replicates({"nli": 0.3, "qa": 0.3, "multi": 0.4}), DEV)
    assert {claims[name].verdict for name in ("C1", "C2", "C4", "C5")} == {Verdict.UNCLEAR}
    assert claims["C1"].judgement.reason == "one seed: the variance between seeds is unknown"


def test_retrieval_is_judged_at_the_paper_s_depth_with_the_other_layers_beside_it():
    drawn = replicates({})
    lost = {name: {12: -30.0, 7: 10.0} for name in ("nli", "qa", "multi")}
    claim = found(drawn, DEV, scores=by_layer(drawn, lost))["C3"]
    assert str(claim.parts[0].judgement.verdict) == "supported"
    assert "7: +10." in claim.note or "7: +9." in claim.note
    assert "12: \N{MINUS SIGN}" in claim.note


def test_sentences_that_are_read_after_the_paper_s_layer_are_judged_one_by_one():
    strong = replicates({"nli": 0.15, "qa": 0.15, "multi": 0.3})
    read = {"ui-retrieval": 7, "ui-mining": 7}
    lost = {name: {7: -30.0} for name in ("nli", "qa", "multi")}  # the table by layer, which has no single sentences
    claim = found(strong, DEV, scores=by_layer(strong, lost), read_layers=read)["C3"]
    assert [(each.text, str(each.judgement.verdict)) for each in claim.parts] == [
        ("ui-retrieval after layer 7, mean over conditions", "supported"),
        ("ui-mining after layer 7, mean over conditions", "supported"),
    ]
    elsewhere = found(strong, DEV, scores=by_layer(strong, lost), read_layers=dict.fromkeys(read, 6))["C3"]
    assert [(each.text, each.obstacle) for each in elsewhere.parts] == [
        ("ui-retrieval after layer 7, mean over conditions", ""),
        ("ui-mining after layer 6, mean over conditions", "it is recorded after no other layer"),
    ]
    assert elsewhere.verdict is Verdict.CONTRADICTED


def test_frozen_layers_leave_retrieval_no_room():
    """Six of the seven layers up to the one that is read were not trained; of the twelve up to the last, half were."""
    strong = replicates({"nli": 0.15, "qa": 0.15, "multi": 0.3})
    frozen = dict.fromkeys(("nli", "qa", "multi"), 6)
    claim = found(strong, DEV, read_layers={"ui-retrieval": 7, "ui-mining": 7}, frozen_layers=frozen)["C3"]
    why = "intermediate training moved 1 of the 7 layers up to the one that is read"
    assert [(each.obstacle, each.effect.low > 0) for each in claim.parts] == [(why, True), (why, True)]
    assert claim.judgement == Judgement(Verdict.UNTESTABLE, why, pytest.approx(np.nan, nan_ok=True))


def test_retrieval_that_counts_in_no_average_has_its_claim_still():
    """Targets without training stand apart from those that averages hold."""
    drawn = replicates({"nli": 0.15, "qa": 0.15, "multi": 0.3})
    trained = {name: part for name, part in drawn.items() if not name.startswith("ui-")}
    untrained = {name: part for name, part in drawn.items() if name.startswith("ui-")}
    claims = found(trained, DEV, scores=by_layer(drawn), untrained=untrained)
    assert [each.text for each in claims["C1"].parts] == [
        "qa, mean gain over 2 targets", "nli, mean gain over 2 targets",
    ]  # fmt: skip
    assert [each.effect for each in claims["C3"].parts] == [each.effect for each in found(drawn, DEV)["C3"].parts]


def test_a_verdict_stands_only_where_it_is_the_same_with_trainings_that_stayed_at_chance():
    """After inference the target of questions fails, and what is left gains."""
    drawn = replicates({"nli": 0.15, ("nli", "command-qa"): -0.35, "multi": 0.15})
    learned = {**drawn, "command-qa": drawn["command-qa"].only(["none", "qa", "multi"])}
    alone = {each.key: each for each in found(learned, DEV)["C1"].parts}
    both = {each.key: each for each in found(learned, DEV, with_failures=drawn)["C1"].parts}
    counted = {each.key: each for each in found(drawn, DEV)["C1"].parts}
    assert alone["nli"].judgement.verdict is Verdict.SUPPORTED
    assert counted["nli"].judgement.verdict is Verdict.UNCLEAR
    assert both["nli"].judgement.verdict is Verdict.UNCLEAR
    assert both["nli"].effect == alone["nli"].effect
    assert both["nli"].judgement.reason == (
        f"supported by itself; with the trainings that stayed at chance {counted['nli'].effect}, cannot tell"
    )
    assert both["qa"] == alone["qa"]


def test_what_stands_at_its_ceiling_could_not_be_tested():
    claim = found(replicates({("none", "ui-mining"): 0.6, "none": 0.0}), DEV)["C3"]
    assert claim.parts[1].judgement.verdict is Verdict.UNTESTABLE
    assert "less than 2 below its ceiling" in claim.parts[1].judgement.reason


def test_a_target_that_was_not_learned_is_named():
    without = {name: part for name, part in replicates({}).items() if name != "command-nli"}
    lost = {("none", "command-nli"): "command-nli was not learned: English dev 34.0 with seed 1, 33.5 by guessing"}
    claim = found(without, DEV, failed=lost)["C4"]
    assert (claim.note, claim.incomplete) == (lost["none", "command-nli"], True)


@pytest.mark.parametrize(
    "conditions, targets, notes",
    [
        (("none", "nli"), TARGETS, {"C1": "`qa`", "C2": "`multi`"}),
        (("none", "multi"), ("intent",), {"C2": "`a single task`", "C3": "`ui-mining` and `ui-retrieval`"}),
    ],
)
def test_what_has_no_records_is_named(conditions, targets, notes):
    claims = found(replicates({}, conditions, targets), DEV)
    assert {name: claims[name].note.partition(";")[0] for name in notes} == {
        name: f"no records of {missing} to compare" for name, missing in notes.items()
    }
    assert claims["C2"].verdict is Verdict.UNTESTABLE


def test_the_best_on_dev_is_chosen_among_other_tasks_with_test_scores():
    some = replicates({}, conditions=("none", "nli", "multi"))
    assert choose_on_dev(Evidence("pocket", some, DEV, TASKS)) == {"intent": "multi", "command-qa": "nli"}
    # The first of equal ones.
    assert choose_on_dev(Evidence("pocket", replicates({}), DEV, TASKS))["intent"] == "qa"
    assert found(some, dev([]))["C5"].note == "no records of `target training` to compare"


def test_the_best_on_dev_is_so_in_the_mean_over_seeds_and_not_by_its_luckiest_one():
    lucky = dev([("nli", "command-nli", 95), ("nli", "command-nli", 50), ("qa", "command-nli", 80),
                 ("qa", "command-nli", 78), ("qa", "xnli", 1), ("multi", "xnli", 2)])  # fmt: skip
    assert choose_by_dev(lucky, "command-nli", TASKS, same_task=True) == "qa"
    better = pd.concat([lucky, dev([("nli", "command-nli", 99)] * 3)])
    assert choose_by_dev(better, "command-nli", TASKS, same_task=True) == "nli"
    assert choose_by_dev(better, "command-nli", TASKS, same_task=False) == "qa"
    assert choose_by_dev(better, "intent", TASKS, same_task=True) is None


# --- another suite ---------------------------------------------------------------------------------------------------

PILOT_DEV = dev([("mnli", "xquad", 50), ("squad", "xquad", 70), ("mnli-mlm", "xquad", 90), ("mnli", "xnli", 60)])


def test_the_claims_are_about_the_tasks_of_the_study_s_own_suite():
    effects = {"mnli": 0.15, "squad": 0.15, "hellaswag": 0.15, "multi": 0.35, "mnli-mlm": 0.15, "translated": 0.15}
    effects |= {(name, "xnli"): -0.15 for name in PILOT if name != "none"}
    claims = found(replicates(effects, tuple(PILOT), XTREME), PILOT_DEV, PILOT, "xtreme")
    assert {claims[f"C{number}"].verdict for number in (1, 4, 5)} == {Verdict.SUPPORTED}
    assert [each.published for each in claims["C1"].parts] == [8.2, 7.5, 7.0]
    assert [each.text for each in claims["C3"].parts] == [
        "tatoeba after layer 7, mean over conditions", "bucc2018 after the last layer, mean over conditions",
    ]  # fmt: skip
    assert "`tydiqa`" in claims["C4"].tested
    # MLQA has the dev score of XQuAD's training; SQuAD is the same task as both.
    assert "`mnli` for `mlqa`" in claims["C5"].tested
    assert "`mnli` for `xquad`" in claims["C5"].tested


def test_a_condition_that_beats_its_english_counterpart_contradicts_c6_and_one_that_loses_supports_it():
    """That nothing does better than English alone is no claim that nothing does worse."""
    for sign, verdict in ((1, Verdict.CONTRADICTED), (-1, Verdict.SUPPORTED)):
        effects = {"mnli-mlm": sign * 0.3, "translated": sign * 0.3}
        claim = found(replicates(effects, tuple(PILOT), XTREME), PILOT_DEV, PILOT, "xtreme")["C6"]
        assert claim.verdict is verdict
        assert {each.judgement.reason for each in claim.parts} == {"above 1" if sign > 0 else "below 1"}
        assert [each.text for each in claim.parts] == [
            f"{name} \N{MINUS SIGN} mnli, mean over {kind}"
            for name in ("mnli-mlm", "translated")
            for kind in ("4 targets that train", "2 targets without training, after the last layer")
        ]


def test_half_of_c6_and_a_stand_in_cannot_support_it():
    some = {name: PILOT[name] for name in ("none", "mnli", "mnli-mlm")}
    claim = found(replicates({}, tuple(some), XTREME), PILOT_DEV, some, "xtreme")["C6"]
    assert (claim.incomplete, claim.note) == (True, "no records with data in other languages")
    named = {**some, "xnli-dev-translated": ("xnli-dev-translated",)}
    claim = found(replicates({}, tuple(named), XTREME), PILOT_DEV, named, "xtreme")["C6"]
    assert claim.note == "`xnli-dev-translated` stands in for translated data: it holds other rows"


def test_a_study_without_any_record_has_a_ledger_without_verdicts():
    claims = found({}, dev([]), {}, "xtreme", pd.DataFrame())
    assert {claim.verdict for claim in claims.values()} == {Verdict.UNTESTABLE}
    assert claims["C1"].note == "no records of `hellaswag`, `mnli` and `squad` to compare"


def test_what_no_score_can_test_is_stated():
    said = {each.id: each.here for each in list_statements(Evidence("pocket", replicates({}), DEV, TASKS))}
    assert list(said) == ["C7", "C8", "C9", "C10"]
    assert said["C9"] == "2 of 6 intermediate tasks have records: classification, question answering"
    assert said["C10"] == "8 languages, 8 of them XTREME's, over 5 target tasks that were learned or need no training"


# --- conditions ------------------------------------------------------------------------------------------------------


def test_counterparts_are_found_by_their_tasks():
    assert [(pair.condition, pair.against) for pair in pair_with_english(PILOT)] == [
        ("mnli-mlm", "mnli"), ("translated", "mnli"),
    ]  # fmt: skip
    assert list_single_tasks(PILOT) == ["mnli", "squad", "hellaswag"]
    assert list_single_tasks({"none": (), "en": ("qa",), "de": ("qa.de",), "mixed": ("qa", "qa.de")}) == ["en"]
    alone = {"none": (), "squad-mlm": ("squad", "mlm"), "mlm": ("mlm",), "mnli-translated": ("mnli-translated",)}
    assert pair_with_english(alone) == []
    both = {"mixed": ("mlm", "mnli-translated"), "mnli": ("mnli",)}
    assert [pair.change for pair in pair_with_english(both)] == [
        "multilingual language modelling mixed in, data in other languages",
    ]


def test_differences_are_those_of_the_scores():
    tasks = {name: PILOT[name] for name in ("none", "mnli", "squad", "multi", "mnli-mlm")}
    drawn = replicates({"multi": 0.3}, tuple(tasks), ("xnli", "tatoeba"))
    table = estimate_differences(drawn, tasks).set_index(["comparison", "target"])
    for (name, target), row in table.iterrows():
        weights = next(weights for (label, _), weights in list_comparisons(tasks).items() if label == name)
        part = drawn[target]
        means = part.scores[part.others].mean(axis=0)
        expected = sum(weight * means[part.conditions.index(condition)] for condition, weight in weights.items())
        assert row["difference"] == pytest.approx(expected)
    averages = average_differences(drawn, tasks).set_index("comparison")
    for name, row in averages.iterrows():
        assert row["difference"] == pytest.approx(table.loc[name, "difference"].mean())
        assert row["targets"] == 2
    assert averages["low"].iloc[1] > 0
    assert estimate_differences({}, tasks).empty
    uncounted = {**tasks, "hellaswag": ("hellaswag",)}
    assert estimate_differences(drawn, uncounted).equals(estimate_differences(drawn, tasks))
    assert average_differences(drawn, uncounted).equals(average_differences(drawn, tasks))


# --- tables ----------------------------------------------------------------------------------------------------------


def test_a_part_says_what_its_claim_does_not_say_already():
    open_, odd = Judgement(Verdict.UNCLEAR, OPEN, 0.5), Judgement(Verdict.UNTESTABLE, "at its ceiling", np.nan)
    parts = tuple(part(1.0, 2.0, judgement=each) for each in (open_, odd))
    claim = Claim("C1", "a < b", "+8.2", "Gain.", parts, judgement=Judgement(Verdict.UNCLEAR, "at its ceiling", np.nan))
    (row,) = show_ledgers({"one": [claim]}, {"one": {}}).to_dict("records")
    assert row["one"].splitlines()[1:] == [
        f"x: {parts[0].effect}", f"x: {parts[1].effect}; could not be tested", "cannot tell (at its ceiling)",
    ]  # fmt: skip
    other = replace(claim, judgement=Judgement(Verdict.UNCLEAR, "one part", np.nan))
    (row,) = show_ledgers({"one": [other]}, {"one": {}}).to_dict("records")
    assert row["one"].splitlines()[2] == f"x: {parts[1].effect}; could not be tested; at its ceiling"


def test_the_ledger_as_tables():
    judged = Judgement(Verdict.SUPPORTED, "above 0", 0.01)
    measured = part(1.0, 0.25, published=8.2, judgement=judged)
    claims = [
        Claim("C1", "a < b", "+8.2", "Gain of `qa`.", (measured,), judgement=Judgement(Verdict.SUPPORTED, "", np.nan)),
        Claim("C6", "c", "-", "nowhere", note="no records"),
    ]
    ledgers = {"one": claims, "two": [replace(claims[1], text="d"), claims[1]]}
    nothing = "nowhere\nno records\ncould not be tested (nothing is recorded of it)"
    another = nothing.replace("no records", "Tested here: d\nno records")
    assert show_ledgers(ledgers, {"one": {}, "two": {}}).to_dict("records") == [
        {"id": "C1", "claim": "a < b", "published": "+8.2",
         "one": "Gain of `qa`.\nx: +1.0 [+0.5, +1.5]\nsupported", "two": another},
        {"id": "C6", "claim": "c", "published": "-", "one": nothing, "two": nothing},
    ]  # fmt: skip
    assert tabulate_parts(ledgers).to_dict("records") == [
        {"study": "one", "id": "C1", "part": "x", "value": 1.0, "low": 0.5, "high": 1.5, "df": np.inf, "seeds": 3,
         "asks": "above", "asked": 0.0, "smallest": 1.0, "published": 8.2, "p_holm": 0.01, "verdict": "supported",
         "reason": "above 0"}
    ]  # fmt: skip
    assert tabulate_parts({"two": [claims[1]]}).empty
    named = {"one": {"qa": "Questions", "x": "Slots", "Gain": "?"}, "two": {}}
    assert show_ledgers(ledgers, named)["one"].iloc[0] == (
        "Gain of questions.\nSlots: +1.0 [+0.5, +1.5]\nsupported"
    )
    page = show_claims(show_ledgers(ledgers, {"one": {}, "two": {}})).data
    assert "a &lt; b" in page
    assert "<code>qa</code>" in page
    assert '<span class="verdict supported">supported</span>' in page
    untested = '<span class="verdict could-not-be-tested">could not be tested</span>'
    assert f'<p>{untested}</p><p class="reason">nothing is recorded of it</p>' in page
    assert '<th scope="row"><a href="transfer.html">C1</a></th>' in page
    assert page.count('data-label="two"') == 2
    assert describe_verdicts(ledgers) == (
        "In study `one`, of the paper's 2 claims: 1 supported, 1 could not be tested. "
        "In study `two`, of the paper's 2 claims: none supported, 2 could not be tested."
    )
    own = Claim("Q1", "d", "-", "here", judgement=Judgement(Verdict.NO_EFFECT, "", np.nan))
    assert describe_verdicts({"one": [claims[0], own]}).endswith(
        "claims: 1 supported; of the 1 rows of our own: none supported, 1 no effect that matters."
    )


def test_ledgers_of_one_design_stand_beside_each_other():
    judged = Judgement(Verdict.SUPPORTED, "above 0", 0.01)
    one = [Claim("C1", "a", "-", "t", (part(1.0, judgement=judged), replace(part(2.0), key="y")), judgement=judged)]
    other = [Claim("C1", "a", "-", "t", (replace(part(3.0), text="x, y"),)), Claim("C2", "b", "-", "t", (part(4.0),))]
    assert compare_ledgers({"one": one, "two": other}, {"x": "Slots"}).to_dict("records") == [
        {"id": "C1", "part": "Slots", "one": "+1.0 [+0.4, +1.6]; supported",
         "two": "+3.0 [+2.4, +3.6]; could not be tested (Slots, y)"},
    ]  # fmt: skip
    assert describe_agreement(one, other) == (
        "Of 1 claim, 0 have the same verdict in both; C1 changes from *supported* to *could not be tested*."
    )
    assert describe_agreement(one, one) == "Of 1 claim, 1 have the same verdict in both."
