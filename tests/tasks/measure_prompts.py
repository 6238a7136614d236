"""Counts the tokens of every prompt: `python measure_prompts.py PROTOCOL TOKENIZER.model`.

PROTOCOL is a folder of local copies of the whole benchmarks, TOKENIZER a SentencePiece model (the one of Mistral 7B
comes with the package mistral-common, as `data/tokenizer.model.v1`). BOS is counted.
"""

from __future__ import annotations

import logging
import sys

import sentencepiece
from conftest import load, requests

from axolotl_dealign.tasks import fit


def main(protocol: str, model: str) -> None:
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=model)
    fit.counter = lambda _: lambda prompts: [len(ids) + 1 for ids in tokenizer.encode(prompts)]
    count = fit.counter({})
    for group in ("poa_mmlu", "poa_bbh", "poa_drop", "poa_humaneval", "dealign_overrefusal", "dealign_compliance"):
        prompts = [r.args[0] for task in load(group, poa_data=protocol)[0].values() for r in requests(task)]
        print(f"{group}: {len(prompts)} prompts, {sum(count(prompts))} tokens")
    for group in ("poa_mmlu", "poa_bbh", "poa_drop"):
        plain, fitted = (load(name, poa_data=protocol)[0] for name in (group, f"{group}_2048"))
        pairs = [
            (longer.args[0], shorter.args[0])
            for (name, task) in plain.items()
            for longer, shorter in zip(
                requests(task), requests(fitted[name.replace(group, f"{group}_2048")]), strict=True
            )
        ]
        lengths = count([shorter for _, shorter in pairs])
        shortened = [length for length, (longer, shorter) in zip(lengths, pairs, strict=True) if longer != shorter]
        over = sum(length > fit.MAX_TOKENS for length in lengths)
        print(f"{group}_2048: {len(shortened)} shortened, {over} over {fit.MAX_TOKENS} tokens all the same")


if __name__ == "__main__":
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    main(*sys.argv[1:])
