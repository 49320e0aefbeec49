"""The peer of `cargo xtask bench --only pretraining`: transformers' Trainer on a new GPT-2 of 124 million parameters.

    python xtask/bench/peer_pretrain.py make FOLDER TEXT --characters 16385
    python xtask/bench/peer_pretrain.py run FOLDER --block 512 --batch 4 --steps 8 --uncounted 2

`make` writes the model (dropout 0), a tokenizer that makes each character a token, and the start of the text. `run`
trains on all blocks of it, once; the target of a block's last position is the first token of the next block, so that
tenon's tokens and targets are the same ones. Prints one JSON object:
  tokens_per_s   tokens of the steps after the uncounted ones over the seconds from the end of the last of those
  loss           mean of the losses of all steps
  peak_rss_mib   highest resident memory of the process

Made with torch 2.11.0, transformers 5.23.0.
"""

import json
import os
import pathlib
import time

import peer


def make(args):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with open(args.text, encoding="utf-8", newline="") as file:
        text = file.read(args.characters)
    assert len(text) == args.characters, f"{args.text} has {len(text)} characters, {args.characters} are needed"
    folder = args.folder / "gpt2"
    if not (folder / "model.safetensors").exists():
        torch.manual_seed(1)
        # Which entries of the vocabulary the text uses does not bear on the work.
        config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=None, eos_token_id=None)
        GPT2LMHeadModel(config).save_pretrained(folder)
    characters = sorted(set(text))
    tokenizer = dict(
        version="1.0", truncation=None, padding=None, added_tokens=[], normalizer=None, post_processor=None,
        pre_tokenizer=dict(type="Split", pattern=dict(Regex="[\\s\\S]"), behavior="Isolated", invert=False),
        decoder=dict(type="Fuse"),
        model=dict(type="WordLevel", vocab={c: id for id, c in enumerate(characters)}, unk_token=characters[0]),
    )
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(tokenizer_class="PreTrainedTokenizerFast")))
    (args.folder / "train.txt").write_bytes(text.encode())


def blocks(folder, length):
    """Inputs and targets of every block."""
    import torch
    from transformers import AutoTokenizer

    text = (folder / "train.txt").read_bytes().decode()
    tokens = torch.tensor(AutoTokenizer.from_pretrained(folder / "gpt2")(text)["input_ids"])
    starts = range(0, len(tokens) - length, length)
    return [
        dict(input_ids=tokens[at : at + length], labels=tokens[at : at + length],
             shift_labels=tokens[at + 1 : at + length + 1])
        for at in starts
    ]


def run(args):
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

    import torch
    from transformers import AutoModelForCausalLM, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    torch.set_num_threads(args.threads)
    train = blocks(args.folder, args.block)
    assert len(train) == args.steps * args.batch, f"{len(train)} blocks for {args.steps} steps of {args.batch}"
    model = AutoModelForCausalLM.from_pretrained(args.folder / "gpt2", dtype=torch.float32)
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, _args, state, control, **kwargs):
            ends.append(time.perf_counter())

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=os.path.join(os.environ.get("TMPDIR", "/tmp"), f"peer-pretrain-{os.getpid()}"),
            seed=args.seed,
            num_train_epochs=1,
            per_device_train_batch_size=args.batch,
            learning_rate=args.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0,
            weight_decay=0.1,
            adam_beta2=0.95,
            max_grad_norm=1.0,
            logging_strategy="no",
            save_strategy="no",
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,  # shift_labels is the loss's
            use_cpu=True,
        ),
        train_dataset=train,
        callbacks=[Clock()],
    )
    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for the figures
    result = trainer.train()
    counted = args.steps - args.uncounted
    peer.give(
        steps=result.global_step, tokens=sum(len(block["input_ids"]) for block in train),
        tokens_per_s=counted * args.batch * args.block / (ends[-1] - ends[args.uncounted - 1]),
        loss=result.training_loss, parameters=sum(p.numel() for p in model.parameters()),
    )


def main():
    parser, made, measured = peer.command_line(__doc__)
    made.add_argument("text", type=pathlib.Path)
    peer.counts(made, "characters")
    peer.counts(measured, "block", "batch", "steps", "uncounted")
    measured.add_argument("--learning-rate", type=float, default=6e-4)
    measured.add_argument("--seed", type=int, default=0)
    measured.add_argument("--threads", type=int, default=2)
    peer.start(parser, make, run)


main()
