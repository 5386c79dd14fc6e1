from collections import Counter, defaultdict
from itertools import chain
from random import Random

import pytest
from command_overlap import Overlap, overlap
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import printed_with_two_hash_seeds

from stilts.sources.pocket import commands
from stilts.sources.pocket.commands.grammar import Resolver, Template
from stilts.sources.pocket.commands.pairs import OPPOSITES, _overlap
from stilts.sources.pocket.commands.phrasebook import read_phrasebook
from stilts.sources.pocket.commands.sampling import Pool, Span, Unfit, draw
from stilts.sources.pocket.commands.tagging import find_token_places, tag_tokens
from stilts.sources.pocket.commands.trees import Form, Value
from stilts.sources.pocket.commands.usage import Usage, read_unit_words, read_usage
from stilts.sources.pocket.commands.values import Forms, read_home_forms
from stilts.sources.pocket.sizes import Sizes
from stilts.study.errors import StiltsError, UnknownName

SIZES = Sizes(train=90, intermediate_train=90, validation=30, test=45)
LANGUAGES = ("en", "de", "fi", "zh")
NO_FORMS = {slot: Forms((), {}, {}) for slot in ("area", "floor", "name")}


@pytest.fixture(scope="module")
def tables():
    return {(config, split): rows for config, split, rows in commands.generate(LANGUAGES, SIZES, seed=5)}


def rows_of(tables, *splits, prefix="", language="en"):
    return list(chain.from_iterable(
        rows for (config, split), rows in tables.items()
        if split in splits and config.endswith(f".{language}") and config.startswith("intermediate.") == bool(prefix)))


# Trees


def resolver(rules=None, lists=None, forms=NO_FORMS):
    return Resolver(rules or {}, lists or {}, forms)


def sayings(text, rules=None, lists=None, forms=NO_FORMS, wanted=None, pool=Pool.EVALUATION):
    """All that many draws from one template say."""
    tree = resolver(rules, lists, forms).resolve(text)
    template = Template("t", text, "Test", {}, "", frozenset(), False, tree)
    found = set()
    for seed in range(200):
        try:
            found.add(draw(template, pool, Usage("en", forms, None), Random(seed), wanted).text)
        except Unfit:
            continue
    return found


@pytest.mark.parametrize("text, said", [
    ("turn (on|off)  [ the ] light", {"turn on light", "turn off light", "turn on the light", "turn off the light"}),
    ("[please] go", {"go", "please go"}),
    ("(a;b;c)", {"a b c", "a c b", "b a c", "b c a", "c a b", "c b a"}),
    ("<go> now", {"go now", "walk now"}),
    ("say (<endless>|<go>)", {"say go", "say walk"}),
    ("say (<unknown>|this)", {"say this"}),
    ("say ({anything}|that)", {"say that"}),
    ("{color} or {color:other}", {"red or red", "red or dark blue", "dark blue or red", "dark blue or dark blue",
                                  "red or blue", "blue or red", "blue or blue", "blue or dark blue",
                                  "dark blue or blue"}),
    ("up {3..3:level}%", {"up 3%"}),
])
def test_every_branch_that_can_be_said_is_said(text, said):
    rules = {"go": "(go|walk)", "endless": "on and <endless>"}
    lists = {"color": {"values": [{"in": "red", "out": "red"}, {"in": "[dark] blue", "out": "blue"}]},
             "anything": {"wildcard": True}}
    found = set().union(*(sayings(text, rules, lists, pool=pool) for pool in Pool))
    assert found == said


@pytest.mark.parametrize("text", ["<endless>", "go to {anything}", "<unknown> a", "{empty}", "{kitchens:area}"])
def test_what_cannot_be_said_has_no_tree(text):
    lists = {"anything": {"wildcard": True}, "empty": {"values": []}, "kitchens": {"values": ["in der Küche"]}}
    assert resolver({"endless": "on and <endless>"}, lists).resolve(text) is None


def test_a_tree_knows_the_sets_of_slots_that_it_may_fill():
    lists = {name: {"values": ["x"]} for name in "abcd"}
    tree = resolver({"r": "{c} [and {d}]"}, lists).resolve("[{a}] or ({b}|<r>)")
    assert tree.signatures() == {frozenset(slots) for slots in ("b", "c", "cd", "ab", "ac", "acd")}


def test_wanted_values_are_the_only_ones():
    lists = {"color": {"values": [{"in": "red", "out": "red"}, {"in": "(blue|azure)", "out": "blue"}]},
             "state": {"values": ["on"]}}
    assert sayings("paint {color} [{state}]", lists=lists, wanted={"color": "blue"}) == {"paint blue", "paint azure"}


# Neighbours


GERMAN = Forms((), {"m": frozenset({"den", "im"}), "f": frozenset({"die"}), "gen": frozenset({"des"})},
               {"gen": frozenset({"-s"})})


@pytest.mark.parametrize("before, after, chosen", [
    ("im ", " an", "Garten/m"), ("die ", " an", None), ("", " an", "Garten/m"), ("licht ", "", "Garten/m"),
    ("des ", "s an", "Garten/gen"), ("des ", " an", None), ("im ", "s an", None), ("vor", " an", None),
    ("im ", ", bitte", "Garten/m"), ("im garten ", "", None), ("im ", " Garten", None),
])
def test_a_form_stands_only_where_its_neighbours_agree(before, after, chosen):
    value = Value("garden", forms=(Form("Garten", "gen"), Form("Garten", "m")))
    form = GERMAN.choose(value, before, after)
    assert (form and f"{form.surface}/{form.group}") == chosen


@pytest.mark.parametrize("before, after, chosen", [
    ("打开", "的灯", "一楼"), ("打开", "楼的灯", "一"), ("", "", "一楼")])
def test_without_white_space_only_listed_neighbours_count(before, after, chosen):
    forms = Forms((), {"whole": frozenset()}, {"part": frozenset({"- 楼"})}, spaced=False)
    value = Value("first", forms=(Form("一", "part"), Form("一楼", "whole")))
    assert forms.choose(value, before, after).surface == chosen


@pytest.mark.parametrize("language, text, slot, allowed", [
    ("en", "timer for 5 minutes", "minutes", True), ("en", "timer for 5 minute", "minutes", False),
    ("en", "set a 5-minute timer", "minutes", True), ("ru", "таймер на 5 минут", "start_minutes", True),
    ("ru", "таймер на 5 минуты", "start_minutes", False), ("ru", "таймер на 22 минуты", "start_minutes", False),
    ("ro", "cronometru de 20 de minute", "minutes", True), ("ro", "cronometru de 20 minute", "minutes", False),
    ("fi", "ajastin 5 minuuttia", "minutes", True), ("fi", "5 minuutin ajastin", "minutes", True),
    ("ru", "яркость 20 процентов", "brightness", True), ("ru", "яркость 20 процента", "brightness", False),
    ("zh", "5分钟计时器", "minutes", True), ("en", "color 5 minute", "color", True),
])
def test_unit_words_agree_with_their_numbers(language, text, slot, allowed):
    start = next(place for place, letter in enumerate(text) if letter.isdigit())
    end = start + sum(letter.isdigit() for letter in text)
    assert Usage(language, NO_FORMS, None).allows(text, [Span(slot, "5", start, end)]) is allowed


def test_unit_words_come_from_cldr():
    words = read_unit_words("pl", "duration-minute")
    assert {number: words[number] for number in (1, 2, 5, 22)} == {1: "minuta", 2: "minuty", 5: "minut", 22: "minuty"}


# Tokens


@pytest.mark.parametrize("language, text, slots, tagged", [
    ("en", "turn on the living room light", {"area": "living room"},
     "turn/O on/O the/O living/B-area room/I-area light/O"),
    ("fi", "sammuta keittiön valot", {"area": "keittiö"}, "sammuta/O keittiön/B-area valot/O"),
    ("en", "set office to 50%", {"area": "office", "brightness": "50"}, "set/O office/B-area to/O 50%/B-brightness"),
    ("zh", "打开厨房灯 50%", {"area": "厨房", "brightness": "50"},
     "打/O 开/O 厨/B-area 房/I-area 灯/O 50/B-brightness %/O"),
    ("th", "เปิดไฟที่ครัว", {"area": "ครัว"}, "เ/O ปิ/O ด/O ไ/O ฟ/O ที่/O ค/B-area รั/I-area ว/I-area"),
])
def test_tokens_touched_by_a_value_get_its_tag(language, text, slots, tagged):
    spans = [Span(slot, "", text.index(words), text.index(words) + len(words)) for slot, words in slots.items()]
    places = find_token_places(text, language)
    tags = tag_tokens(places, spans)
    assert " ".join(f"{text[start:end]}/{tag}" for (start, end), tag in zip(places, tags, strict=True)) == tagged


def test_two_values_in_one_token_are_rejected():
    with pytest.raises(Unfit):
        tag_tokens([(0, 4)], [Span("hours", "1", 0, 1), Span("minutes", "5", 2, 3)])


# Drawing from the real templates


def wordings(book, span):
    """All surfaces of a home's own value."""
    known = {value.key: value for value in book.usage.forms[span.slot].values}
    return {form.surface for form in known[span.value].forms}


@settings(max_examples=60, deadline=None)
@given(language=st.sampled_from(LANGUAGES), pool=st.sampled_from(Pool), seed=st.integers(0, 10**6))
def test_spans_are_exact_and_values_stay_in_their_pool(language, pool, seed):
    book, rng = read_phrasebook(language), Random(seed)
    for _ in range(20):
        try:
            command = book.draw(book.within(pool), pool, rng)
        except Unfit:
            continue
        assert command.text == " ".join(command.text.split())
        assert [span.start for span in command.spans] == sorted(span.start for span in command.spans)
        for span in command.spans:
            surface = command.text[span.start:span.end]
            if span.slot in book.usage.forms:
                assert surface in wordings(book, span)
                assert book.usage.forms[span.slot].shares[surface.casefold()] == pool
            elif span.value.lstrip("-").isdigit():
                assert surface == span.value.lstrip("-")
            else:
                assert surface.strip() == surface != ""


def test_every_draw_is_the_same_for_the_same_seed():
    book = read_phrasebook("de")
    drawn = [[book.draw(book.entries(Pool.EVALUATION)[3].templates, Pool.EVALUATION, rng).text for _ in range(5)]
             for rng in (Random(3), Random(3))]
    assert drawn[0] == drawn[1]


def test_templates_of_an_intent_are_dealt_to_all_pools():
    book = read_phrasebook("en")
    pools = [{template.text for template in book.within(pool)} for pool in Pool]
    assert [len(one & other) for one in pools for other in pools if one is not other] == [0] * 6
    kept = [{template.intent for template in book.within(pool)} for pool in Pool]
    assert set(commands.list_label_names("intent")) <= set.intersection(*kept)


# Tables


def test_every_config_has_its_splits(tables):
    english = {f"{task}.en": {"train", "validation", "test"} for task in commands.TARGETS}
    intermediates = {f"intermediate.{task}.en": {"train", "validation"} for task in commands.INTERMEDIATES}
    others = {f"{task}.{language}": {"test"} for task in commands.TARGETS for language in LANGUAGES[1:]}
    found = defaultdict(set)
    for config, split in tables:
        found[config].add(split)
    assert found == {**english, **intermediates, **others}
    sizes = {"train": 90, "validation": 30, "test": 45}
    assert {key: len(rows) for key, rows in tables.items()} == {key: sizes[key[1]] for key in tables}


def test_nothing_of_english_training_is_tested(tables):
    training = rows_of(tables, "train")
    intermediate = rows_of(tables, "train", prefix="intermediate.")
    evaluation = rows_of(tables, "validation", "test")
    for before, after in ((training, evaluation), (intermediate, evaluation), (intermediate, training)):
        assert overlap(before, after)[:3] == (0.0, 0.0, 0.0)


def test_no_english_value_pair_is_tested_in_any_language(tables):
    training = rows_of(tables, "train") + rows_of(tables, "train", prefix="intermediate.")
    for language in LANGUAGES[1:]:
        assert overlap(training, rows_of(tables, "test", language=language)).value_pairs == 0.0


def test_intermediate_tasks_of_another_language_share_nothing_with_its_tests(tables):
    splits = (commands.generate_intermediate(task, "de", SIZES, 5) for task in commands.INTERMEDIATES)
    made = list(chain.from_iterable(rows for _, _, rows in chain.from_iterable(splits)))
    assert overlap(made, rows_of(tables, "test", language="de"))[:3] == (0.0, 0.0, 0.0)


def words_of(row):
    return tuple(str(row.get(column)) for column in ("sentence1", "sentence2", "tokens", "context", "question"))


def test_no_row_comes_twice(tables):
    for (config, split), rows in tables.items():
        assert len({words_of(row) for row in rows}) == len(rows), (config, split)
    for config in {config for config, _ in tables}:
        seen = Counter(words_of(row) for (name, _), rows in tables.items() if name == config for row in rows)
        assert max(seen.values()) == 1, config


def test_labels_are_known_and_balanced(tables):
    for (config, split), rows in tables.items():
        task = config.split(".")[-2]
        if "label" not in rows[0]:
            continue
        counts = Counter(row["label"] for row in rows)
        assert set(counts) <= set(commands.list_label_names(task)), config
        if task != "intent":
            assert max(counts.values()) - min(counts.values()) <= 2, (config, split)


def test_tags_are_known_and_fit_the_tokens(tables):
    names = set(commands.list_label_names("slots"))
    for row in chain.from_iterable(rows for (config, _), rows in tables.items() if "slots" in config):
        assert len(row["tokens"]) == len(row["tags"])
        assert names.issuperset(row["tags"])
        assert set(row["tags"]) != {"O"}


def test_answers_stand_where_they_are_said_to(tables):
    for (config, _), rows in tables.items():
        if "qa." not in config:
            continue
        assert len({row["id"] for row in rows}) == len(rows)
        for row in rows:
            [text], [start] = row["answers"]["text"], row["answers"]["answer_start"]
            assert row["context"][start:start + len(text)] == text
            assert 2 <= len(row["meaning"].split(" | ")) <= 4


def parts(meaning):
    action, *slots = meaning.split(" ")
    while slots and "=" not in slots[0]:
        action += " " + slots.pop(0)
    return action, dict(slot.split("=", 1) for slot in slots)


def test_entailments_are_what_their_labels_say(tables):
    pairs = rows_of(tables, "train") + rows_of(tables, "test", language="de")
    for row in (row for row in pairs if row.get("label") in commands.list_label_names("nli")):
        (action, slots), (other, others) = map(parts, row["meaning"].split(" | "))
        changed = [name for name in slots if name in others and slots[name] != others[name]]
        if row["label"] == "entailment":
            assert action == other
            assert others.items() <= slots.items()
        elif row["label"] == "contradiction":
            opposite = {action.split()[0], other.split()[0]} in OPPOSITES
            assert slots.keys() == others.keys()
            assert (opposite and not changed) or (action == other and len(changed) == 1)
        else:
            assert action.split()[0] != other.split()[0] or slots.items() < others.items()


def test_paraphrases_mean_the_same_from_two_templates(tables):
    for row in rows_of(tables, "train") + rows_of(tables, "test", language="zh"):
        if row.get("label") not in commands.list_label_names("para"):
            continue
        first, second = row["meaning"].split(" | ")
        assert (first == second) is (row["label"] == "paraphrase")
        if row["label"] == "paraphrase":
            assert len(set(row["template"].split("|"))) == 2


@pytest.mark.parametrize("config", ["command-para.en", "intermediate.para.en"])
def test_word_overlap_does_not_give_paraphrases_away(tables, config):
    levels = defaultdict(Counter)
    for row in tables[config, "train"]:
        levels[row["label"]][round(10 * _overlap(row["sentence1"], row["sentence2"], "en"))] += 1
    assert levels["paraphrase"] == levels["different"]


def test_test_rows_do_not_depend_on_other_sizes(tables):
    larger = Sizes(train=100, intermediate_train=120, validation=35, test=45)
    again = {key[:2]: key[2] for key in commands.generate(["en"], larger, seed=5)}
    assert {task: again[f"{task}.en", "test"] for task in commands.TARGETS} == {
        task: tables[f"{task}.en", "test"] for task in commands.TARGETS}


def test_another_seed_gives_other_rows(tables):
    again = {key[:2]: key[2] for key in commands.generate(["de"], SIZES, seed=6)}
    assert all(rows != tables[key] for key, rows in again.items())


def test_rows_do_not_depend_on_the_hash_seed():
    script = ("import hashlib, json; from stilts.sources.pocket import commands; "
              "from stilts.sources.pocket.sizes import Sizes; "
              "rows = list(commands.generate(['fi'], Sizes(test=20), 1)); "
              "print(hashlib.sha256(json.dumps(rows).encode()).hexdigest(), commands.compute_fingerprint())")
    assert len(printed_with_two_hash_seeds(script)) == 1


# Languages, names, errors


def test_languages_are_kept_or_left_out_with_a_reason():
    kept, reasons = set(commands.list_languages()), commands.list_left_out()
    assert kept.isdisjoint(reasons)
    assert set(LANGUAGES) <= kept
    assert reasons["sw"].endswith("intents have templates; 8 are needed")
    assert len(kept) >= 40


def test_unknown_names_are_told():
    with pytest.raises(UnknownName, match="unknown task on commands 'command-nlp'. Did you mean 'command-nli'?"):
        commands.list_label_names("command-nlp")
    with pytest.raises(UnknownName, match="unknown language of commands 'xx'"):
        next(commands.generate(["xx"], SIZES, seed=1))


def test_a_broken_value_file_is_named(tmp_path):
    with pytest.raises(StiltsError, match="cannot read value file .*areas.yaml: No such file or directory; install"):
        read_home_forms("en", tmp_path)
    (tmp_path / "areas.yaml").write_text("- kitchen\n")
    with pytest.raises(StiltsError, match="holds a list, not a mapping of languages"):
        read_home_forms("en", tmp_path)
    for name in ("areas", "floors", "names"):
        (tmp_path / f"{name}.yaml").write_text("en: {values: {}}\n")
    (tmp_path / "unsaid.yaml").write_text("en: ['(']\n")
    with pytest.raises(StiltsError, match="unsaid.yaml, en: no regular expression"):
        read_usage("en", tmp_path)


def test_overlap_counts_shares_of_the_evaluation_set():
    def tagged(words, tags, template, meaning):
        return {"tokens": words.split(), "tags": tags.split(), "template": template, "meaning": meaning}

    before = [tagged("Dim kitchen to 50", "O B-area O B-brightness", "A-1", "A area=kitchen brightness=50")]
    after = [tagged("dim living room to 5", "O B-area I-area O B-brightness", "B-1", "B area=living_room brightness=5"),
             tagged("dim kitchen to 50", "O B-area O B-brightness", "B-2", "B area=kitchen brightness=50")]
    assert overlap(before, after) == Overlap(templates=0.5, sentences=0.5, value_pairs=0.5, wordings=1.0)
    assert overlap(before, []) == Overlap(0.0, 0.0, 0.0, 0.0)
