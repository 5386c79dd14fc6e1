"""The hidden states that the three architectures provide for each token of an input, and how they are pooled.

================== ===================================== ============================= ================================
architecture       hidden states of an input's tokens    one vector for classification vector for retrieval
================== ===================================== ============================= ================================
encoder            the last layer's                      mean over the tokens          mean over the tokens
decoder            the last layer's, of which each has   that of the last token, which mean weighted by position, since
                   seen the tokens up to its own         alone has seen all            later states have seen more
encoder-decoder    the decoder's last layer's, where     that of the last token        mean over the encoder's states
                   the decoder reads the input again,
                   one token later
================== ===================================== ============================= ================================

Sources: a decoder's last token as in GPT (Radford et al. 2018, section 3.3); the input repeated in the decoder for
classification, tagging and answer spans as in BART (Lewis et al. 2020, arXiv:1910.13461, sections 3.1 and 3.2); the
mean weighted by position as in SGPT (Muennighoff 2022, arXiv:2202.08904, section 4); the mean over the encoder of an
encoder-decoder is the best variant of Sentence-T5 (Ni et al. 2022, arXiv:2108.08877).

A decoder's state has not seen the tokens after it. In tagging, a word is therefore represented by its last subword. For
answer spans there is no such remedy: the start is predicted before the answer is read. The question precedes the
context in all architectures, so that a decoder has read it.

A model's config does not tell reliably whether it is a decoder (a BERT can be one, and a Gemma may not be), so it is
tested: in a decoder, changing the last token does not change the states before it.
"""

from typing import Literal

import torch
from torch import nn
from transformers import PreTrainedModel

from stilts.models.packing import Packing, read_row
from stilts.study.errors import StiltsError

Architecture = Literal["encoder", "decoder", "encoder-decoder"]


def find_architecture(model: PreTrainedModel) -> Architecture:
    """Return the architecture of a model."""
    if model.config.is_encoder_decoder:
        return "encoder-decoder"
    return "decoder" if _is_causal(model) else "encoder"


@torch.inference_mode()
def _is_causal(model: PreTrainedModel) -> bool:
    *first, other = [token for token in range(8) if token != model.config.pad_token_id][:4]
    ids = torch.tensor([first, [*first[:-1], other]], device=model.device)
    was_training = model.training
    model.eval()
    states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, : len(first) - 1]
    model.train(was_training)
    return torch.allclose(states[0], states[1], atol=1e-6)


class Backbone:
    """A model without heads, of any architecture, which maps token ids and attention mask to hidden states.

    Parameters
    ----------
    model : PreTrainedModel
        Model from `stilts.models.encoders.load_encoder`.

    Attributes
    ----------
    architecture : {"encoder", "decoder", "encoder-decoder"}
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.architecture = find_architecture(model)

    def token_states(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        written: torch.Tensor | None = None,
        packing: Packing | None = None,
    ) -> torch.Tensor:
        """Return the hidden states for heads, (sequences, tokens, hidden), for ids and mask (sequences, tokens).

        If `written` (sequences, written tokens) is given, an encoder-decoder's decoder generates it instead of reading
        the input again, and its states are returned: (sequences, written tokens, hidden). If `packing` is given, an
        encoder that takes it reads the ids as a flat row.
        """
        if self.architecture == "encoder":
            return self.text_states(ids, mask, packing)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.architecture == "encoder-decoder":
            inputs["decoder_input_ids"] = shift_right(ids if written is None else written, self.model)
        return self.model(**inputs).last_hidden_state

    def text_states(self, ids: torch.Tensor, mask: torch.Tensor, packing: Packing | None = None) -> torch.Tensor:
        """Return the hidden states that are pooled for retrieval, (sequences, tokens, hidden); see `token_states`."""
        if packing is not None:
            return packing.unpack(read_row(self.model, packing.pack(ids), packing))
        return self._reader(input_ids=ids, attention_mask=mask).last_hidden_state

    def layer_states(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return these states for every layer, (sequences, tokens, hidden) each; the first are the embeddings."""
        output = self._reader(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        # Models differ in whether their last entry of hidden_states includes a final normalisation.
        return (*output.hidden_states[:-1], output.last_hidden_state)

    @property
    def _reader(self) -> PreTrainedModel:
        return self.model.get_encoder() if self.architecture == "encoder-decoder" else self.model

    def input_weights(self, mask: torch.Tensor) -> torch.Tensor:
        """Return each token's weight in the mean that represents an input, (sequences, tokens)."""
        if self.architecture == "encoder":
            return mask
        return nn.functional.one_hot(mask.sum(1) - 1, mask.shape[1])

    def text_weights(self, mask: torch.Tensor) -> torch.Tensor:
        """Return each token's weight in a vector for retrieval, (sequences, tokens)."""
        return mask * mask.cumsum(1) if self.architecture == "decoder" else mask


def shift_right(ids: torch.Tensor, model: PreTrainedModel) -> torch.Tensor:
    """Return the decoder inputs for the targets `ids`, (sequences, tokens): start token, then all ids but the last.

    Raises
    ------
    StiltsError
        If the model's config has no decoder_start_token_id.
    """
    start = getattr(model.config, "decoder_start_token_id", None)
    if start is None:
        raise StiltsError(
            f"{model.config.name_or_path or type(model).__name__}: its config.json has no decoder_start_token_id, with "
            "which the output of an encoder-decoder starts; set it (T5: the padding token, BART: </s>)"
        )
    return torch.cat([torch.full_like(ids[:, :1], start), ids[:, :-1]], dim=1)


# --- tied weights ----------------------------------------------------------------------------------------------------


def name_tied_weights_once(model: PreTrainedModel) -> PreTrainedModel:
    """Make a model's state contain tied weights (such as the embeddings of T5's halves) only under their first name.

    Safetensors files cannot contain a tensor twice. Such a state can be loaded like any other.
    """
    model.register_state_dict_post_hook(_drop_twins)
    model.register_load_state_dict_pre_hook(_restore_twins)
    return model


def _twins(model: nn.Module) -> dict[str, str]:
    """Return further names of tied weights -> their first name."""
    first: dict[int, str] = {}
    twins = {}
    for name, weight in model.named_parameters(remove_duplicate=False):
        if first.setdefault(id(weight), name) != name:
            twins[name] = first[id(weight)]
    return twins


def _drop_twins(model: nn.Module, state: dict[str, torch.Tensor], prefix: str, metadata: object) -> None:
    for twin in _twins(model):
        state.pop(prefix + twin, None)


def _restore_twins(model: nn.Module, state: dict[str, torch.Tensor], prefix: str, *rest: object) -> None:
    for twin, name in _twins(model).items():
        if prefix + name in state:
            state.setdefault(prefix + twin, state[prefix + name])
