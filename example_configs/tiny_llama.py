"""Makes the model that the demo trains: a small untrained Llama and a tokenizer trained on the demo's own rows.

    python example_configs/tiny_llama.py FOLDER

No download. The same seed gives the same weights on the same version of torch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

ROWS = [Path(__file__).parent / "data" / name for name in ("instructions.jsonl", "skills.jsonl")]
VOCABULARY = 3000
UNKNOWN, BEGIN, END, PAD = "<unk>", "<s>", "</s>", "<pad>"

# Axolotl's prompt for `type: alpaca`: its words shall be whole tokens.
PROMPT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response:\n"
)


def make(folder: Path, seed: int = 42) -> int:
    """Write model and tokenizer into `folder`, as `save_pretrained` does.

    Returns:
        The number of parameters.
    """
    tokenizer = _tokenizer(list(_texts()))
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            # Llama's 0.02 is made for much wider layers; here it would cost half of the training.
            initializer_range=0.06,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


def _texts() -> Iterator[str]:
    for path in ROWS:
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield PROMPT.format(row["instruction"]) + row["output"]


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    # Every word carries its space, also the first of a line: an answer is the same token as in the middle of a text.
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Punctuation("contiguous"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=[UNKNOWN, BEGIN, END, PAD], show_progress=False, limit_alphabet=200
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=512,
    )


if __name__ == "__main__":
    print(f"{make(Path(sys.argv[1])):,} parameters in {sys.argv[1]}")
