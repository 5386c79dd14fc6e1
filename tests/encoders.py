"""Tiny encoders of several families with random weights, and inputs of every format for them, without a tokenizer."""

import copy

import numpy as np
import torch
from transformers import (
    AlbertConfig,
    BertConfig,
    DebertaV2Config,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
)
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from stilts.models.loading import omit_pooler
from stilts.models.model import MultiTaskModel
from stilts.tasks.formats import FORMATS
from stilts.tasks.formats.heads import Pooler
from stilts.tasks.formats.inputs import Input

VOCABULARY = 60
PADDING = 1
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 48, "max_position_embeddings": 64, "pad_token_id": PADDING, "bos_token_id": 0,
    "eos_token_id": 2, "initializer_range": 0.2,
}  # fmt: skip
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
MODERN = {**SIZES, "cls_token_id": 0, "sep_token_id": 2, "global_attn_every_n_layers": 2, "local_attention": 8}
TAKING = {
    "BERT": BertConfig(**SIZES, **NO_DROPOUT),
    "XLM-R": XLMRobertaConfig(**SIZES, **NO_DROPOUT),
    "ModernBERT": ModernBertConfig(**MODERN),  # every other layer sees tokens at a distance of four at most
}
ALSO_TAKING = {
    "RoBERTa": RobertaConfig(**SIZES, **NO_DROPOUT),
    "ALBERT": AlbertConfig(**SIZES, **NO_DROPOUT, embedding_size=32),
    "ELECTRA": ElectraConfig(**SIZES, **NO_DROPOUT, embedding_size=32),
}
PADDED = {
    "DeBERTa": DebertaV2Config(**SIZES, **NO_DROPOUT, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "MPNet": MPNetConfig(**SIZES, **NO_DROPOUT),
    "GPT-2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=2, n_positions=64, pad_token_id=PADDING),
    "T5": T5Config(vocab_size=VOCABULARY, d_model=32, d_ff=48, d_kv=16, num_layers=2, num_heads=2,
                   decoder_start_token_id=0, pad_token_id=PADDING),
}  # fmt: skip
LABELS = 3
FORMS = ("classification", "tagging", "span_qa", "multiple_choice", "mlm", "passage_retrieval")


def build(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    return MODEL_MAPPING[type(config)](copy.deepcopy(config), **omit_pooler(config)).eval()


def build_task(config: PretrainedConfig, form: str, style: str = "mean") -> MultiTaskModel:
    encoder = build(config)
    labels = range(VOCABULARY if FORMATS[form].predicts_tokens else LABELS)
    pooler = Pooler(32) if style == "pooler" else None
    head = FORMATS[form].head(32, labels, style)
    for module in head.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return MultiTaskModel(encoder, {"task": head}, pooler).train()


def draw_ids(generator: np.random.Generator, length: int) -> np.ndarray:
    return np.array([0, *generator.integers(3, VOCABULARY, length - 2), 2], dtype=np.int32)


def draw_inputs(form: str) -> list[Input]:
    """Inputs of 3 to 20 tokens with random targets."""
    generator = np.random.default_rng(0)
    inputs = []
    for number, length in enumerate((3, 20, 9, 14)):
        ids = draw_ids(generator, length)
        if form == "classification":
            inputs.append(Input(number, ids, number % LABELS))
        elif form == "tagging":
            inputs.append(Input(number, ids, [-100, *generator.integers(0, LABELS, length - 2), -100]))
        elif form == "span_qa":
            inputs.append(Input(number, ids, (1, length - 2)))
        elif form == "multiple_choice":
            others = tuple(draw_ids(generator, 4 + number + more) for more in range(1 + number % 2))
            inputs.append(Input(number, ids, number % 2, alternatives=others))
        elif form == "passage_retrieval":
            inputs.append(Input(number, ids, None, alternatives=(draw_ids(generator, 25 - length),)))
        else:
            positions = np.arange(1, length - 1, 3)
            inputs.append(Input(number, ids, ids[positions] - 1, positions=positions))
    return inputs
