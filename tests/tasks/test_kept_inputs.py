"""Inputs that are kept on disk: what they are is held by the test of every format; here, when they are made anew."""

import numpy as np
import pytest
import tiny
from format_rules import assert_same_inputs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stilts.tasks.formats import CLASSIFICATION, TAGGING, Classification, SpanQA, Tagging
from stilts.tasks.formats.flat_inputs import flatten_inputs, restore_inputs
from stilts.tasks.formats.inputs import Input
from stilts.tasks.formats.kept_inputs import KeptInputs, hash_encoding
from stilts.tasks.formats.span_qa import Window

IDS = arrays.arrays(np.int32, st.integers(0, 4))
ROWS = tiny.nli_rows("en")[:4]


def windows(begins: st.SearchStrategy) -> st.SearchStrategy[Window]:
    offsets = arrays.arrays(np.int32, st.tuples(st.integers(0, 4), st.just(2)))
    return st.builds(Window, IDS, offsets, st.booleans(), st.booleans(), begins)


KINDS = {
    "target": st.sampled_from([st.none(), st.integers(0, 9), st.tuples(st.integers(0, 9), st.integers(0, 9)), IDS,
                               st.lists(st.integers(0, 9), max_size=3)]),
    "detail": st.sampled_from([st.none(), IDS, windows(st.none()), windows(arrays.arrays(bool, st.integers(0, 4)))]),
    **dict.fromkeys(("positions", "ends", "written"), st.sampled_from([st.none(), IDS])),
}


@st.composite
def inputs(draw) -> list[Input]:
    """Inputs whose fields have the same kind in all."""
    kinds = {name: draw(kind) for name, kind in KINDS.items()}
    part = st.builds(Input, st.integers(0, 99), IDS, alternatives=st.lists(IDS, max_size=2).map(tuple), **kinds)
    return draw(st.lists(part, max_size=4))


@given(inputs())
def test_inputs_come_back_from_flat_arrays(made):
    detail = Window if made and isinstance(made[0].detail, Window) else None
    assert_same_inputs(restore_inputs(flatten_inputs(made), detail), made)


def test_a_field_that_some_inputs_lack_is_named():
    with pytest.raises(ValueError, match="1 of 2 inputs lack 'ends'"):
        flatten_inputs([Input(0, [1], None), Input(1, [1], None, ends=np.array([0]))])


def test_formats_with_other_options_do_not_share_inputs(tmp_path):
    kept, tokenizer = KeptInputs(tmp_path), tiny.tokenizer()
    rows = tiny.qa_rows("en")[:4]
    for form in (SpanQA(), SpanQA(doc_stride=8), SpanQA(unanswerable=True)):
        assert_same_inputs(kept.encode(form, rows, tokenizer, 32), form.encode(rows, tokenizer, 32))
    assert len([*tmp_path.iterdir()]) == 3
    assert TAGGING.encode(tiny.slot_rows("en"), tokenizer, 32)
    for form in (Tagging(), Tagging("conlleval")):
        kept.encode(form, tiny.slot_rows("en"), tokenizer, 32)
    assert len([*tmp_path.iterdir()]) == 5


def test_inputs_of_another_kind_are_used_and_that_is_said(tmp_path, caplog):
    class Named(Classification):
        def encode(self, rows, tokenizer, max_length):
            return [Input(number, [1, 2], f"row {number}") for number in range(len(rows))]

    found = KeptInputs(tmp_path).encode(Named(), ROWS, tiny.tokenizer(), 64)
    assert [part.target for part in found] == ["row 0", "row 1", "row 2", "row 3"]
    (message,) = caplog.messages
    assert "cannot be written ('target' holds neither numbers nor arrays or lists of them: 'row 0')" in message


@pytest.mark.parametrize("harm", [b"", b"x" * 40, None])
def test_a_damaged_file_is_said_and_made_again(tmp_path, caplog, harm):
    kept, tokenizer = KeptInputs(tmp_path), tiny.tokenizer()
    made = kept.encode(CLASSIFICATION, ROWS, tokenizer, 64)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] if harm is None else harm)
    assert_same_inputs(kept.encode(CLASSIFICATION, ROWS, tokenizer, 64), made)
    (message,) = caplog.messages
    assert message.startswith(f"{path} cannot be read (")
    assert message.endswith("); it is made again")
    assert path.read_bytes() == whole


def test_inputs_that_cannot_be_written_are_used_and_that_is_said(tmp_path, caplog):
    folder = tmp_path / "file"
    folder.write_text("in the way")
    tokenizer = tiny.tokenizer()
    found = KeptInputs(folder).encode(CLASSIFICATION, ROWS, tokenizer, 64)
    assert_same_inputs(found, CLASSIFICATION.encode(ROWS, tokenizer, 64))
    (message,) = caplog.messages
    assert message.startswith(f"{folder}/")
    assert message.endswith("the next run encodes these rows again")


def test_another_tokenizer_has_another_hash(tmp_path):
    first, same, other = (tiny.write_encoder(tmp_path / name) for name in ("first", "same", "other"))
    file = other / "tokenizer.json"
    file.write_text(file.read_text() + "\n")
    assert hash_encoding(first) == hash_encoding(same) != hash_encoding(other)
