"""Makes models with random weights for the bench of generation, and times `transformers.generate` on them.

    python xtask/bench/peer_generate.py make FOLDER
    python xtask/bench/peer_generate.py run FOLDER MODEL --batch 16 --beams 4 --new 64

Made with torch 2.11.0, transformers 5.23.0.
"""

import json
import random

import peer
import torch
from transformers import (
    AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPT2Config, GPT2LMHeadModel, MarianConfig, MarianMTModel,
)

CHARACTERS = "abcdefghijklmnopqrstuvwxyz .,;:!?'-0123456789"
FIRST = 2
MODELS = {
    "tiny": lambda: GPT2LMHeadModel(GPT2Config(n_embd=192, n_layer=4, n_head=6, bos_token_id=1, eos_token_id=1)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(bos_token_id=1, eos_token_id=1)),
    # The base model of Vaswani et al. 2017, with the vocabulary of a pair of languages; as Marian has it, the padding
    # token is the last and starts the decoder.
    "marian": lambda: MarianMTModel(MarianConfig(
        vocab_size=32000, d_model=512, encoder_layers=6, decoder_layers=6, encoder_attention_heads=8,
        decoder_attention_heads=8, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        pad_token_id=31999, eos_token_id=0, decoder_start_token_id=31999, forced_eos_token_id=None,
    )),
}


def vocabulary(name):
    """Tokens in order, each character one; those of a Marian are as many as its embedding has."""
    if name != "marian":
        return ["<pad>", "<eos>", *CHARACTERS]
    tokens = ["<eos>", "<unk>", *CHARACTERS]
    return tokens + [f"<{at}>" for at in range(len(tokens), 31999)] + ["<pad>"]


def tokenizer(name):
    vocab = {token: id for id, token in enumerate(vocabulary(name))}
    unknown = "<unk>" if "<unk>" in vocab else "<pad>"
    special = [
        dict(id=vocab[token], content=token, single_word=False, lstrip=False, rstrip=False, normalized=False,
             special=True)
        for token in sorted({"<pad>", "<eos>", unknown}, key=vocab.get)
    ]
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None, post_processor=None,
        pre_tokenizer=dict(type="Split", pattern=dict(Regex="[\\s\\S]"), behavior="Isolated", invert=False),
        decoder=dict(type="Fuse"), model=dict(type="WordLevel", vocab=vocab, unk_token=unknown),
    ), dict(eos_token="<eos>", pad_token="<pad>", unk_token=unknown, tokenizer_class="PreTrainedTokenizerFast")


def make(args):
    folder = args.folder
    for name, build in MODELS.items():
        words, settings = (json.dumps(file) for file in tokenizer(name))
        last = folder / name / "tokenizer_config.json"
        # What an earlier bench left does when it is the same.
        if last.exists() and last.read_text() == settings and (folder / name / "tokenizer.json").read_text() == words:
            continue
        torch.manual_seed(1)
        model = build()
        model.generation_config.forced_eos_token_id = None
        model.save_pretrained(folder / name)
        (folder / name / "tokenizer.json").write_text(words)
        last.write_text(settings)
    draw = random.Random(3)
    with open(folder / "prompts.jsonl", "w") as out:
        for _ in range(16):
            text = "".join(draw.choice(CHARACTERS) for _ in range(draw.randint(8, 32)))
            print(json.dumps(dict(prompt=text, target="")), file=out)


def run(args):
    torch.set_num_threads(2)
    config = AutoConfig.from_pretrained(args.folder / args.model)
    writes_from_source, padding = config.is_encoder_decoder, config.pad_token_id or 0
    kind = AutoModelForSeq2SeqLM if writes_from_source else AutoModelForCausalLM
    model = kind.from_pretrained(args.folder / args.model, dtype=torch.float32).eval()
    tokens = [[FIRST + CHARACTERS.index(c) for c in prompt] for prompt in peer.prompts(args.folder)]
    options = dict(
        num_beams=args.beams, do_sample=False, eos_token_id=None, forced_eos_token_id=None, pad_token_id=padding,
    )

    def write(rows, new):
        longest = max(map(len, rows))
        pad = [[padding] * (longest - len(row)) for row in rows]
        mask = [[0] * len(p) + [1] * len(row) for p, row in zip(pad, rows)]
        ids = [row + p if writes_from_source else p + row for p, row in zip(pad, rows)]
        if writes_from_source:
            mask = [m[::-1] for m in mask]
        with torch.inference_mode():
            out = model.generate(
                torch.tensor(ids), attention_mask=torch.tensor(mask), max_new_tokens=new, **options,
            )
        return len(rows) * (out.shape[1] - (1 if writes_from_source else longest))

    peer.time_writing(args, tokens, write)


peer.start_writing(__doc__, make, run)
