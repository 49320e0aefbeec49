#!/usr/bin/env python3
"""The peer of `cargo xtask bench`: transformers Trainer + peft LoRA on the same model, data and batches.

LoRA on every `query` and `value` of a BERT, sequence classification on SST-2 lines (`label text`),
dynamic padding, batches grouped by length, float32 on the CPU. Prints one JSON object:

    peer_train.py --model FOLDER --train stsa.binary.train --dev stsa.binary.dev [--epochs 1] [--seed 0]

What the figures mean:
  train_examples_per_s   examples over the seconds of the training loop (evaluation excluded)
  steady_examples_per_s  the same without the first ten steps
  eval_examples_per_s    examples over the seconds of one evaluation after training
  first_step_s           from the start of the process to the end of the first optimizer step
  peak_rss_mib           highest resident memory of the process
Dropout is the model's own (0.1 for hidden states and attention) plus --lora-dropout.

Made with torch 2.11.0, transformers 5.23.0, peft 0.21.2, datasets 5.2.0.
"""

import argparse
import json
import os
import resource
import sys
import time


def seconds_since_process_start():
    """Age of this process, from the kernel's record of its start (resolution: one clock tick, 10 ms)."""
    with open("/proc/self/stat") as f:
        start_ticks = int(f.read().rsplit(")", 1)[1].split()[19])
    with open("/proc/uptime") as f:
        uptime = float(f.read().split()[0])
    return uptime - start_ticks / os.sysconf("SC_CLK_TCK")


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", required=True, help="BERT folder in Hugging Face layout")
    p.add_argument("--train", required=True, help="training lines, `label text`")
    p.add_argument("--dev", required=True, help="validation lines, `label text`")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--epochs", type=float, default=1.0)
    p.add_argument("--max-steps", type=int, default=-1, help="stop after this many steps, whatever the epochs")
    p.add_argument("--batch-size", type=int, default=32)
    p.add_argument("--learning-rate", type=float, default=3e-3)
    p.add_argument("--lora-r", type=int, default=8)
    p.add_argument("--lora-alpha", type=int, default=16)
    p.add_argument("--lora-dropout", type=float, default=0.0)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--profile", action="store_true", help="print where the time of 40 steps goes, on stderr")
    return p.parse_args()


def read_lines(path):
    texts, labels = [], []
    with open(path, encoding="utf-8") as f:
        for line in f:
            label, text = line.rstrip("\n").split(" ", 1)
            texts.append(text)
            labels.append(int(label))
    return texts, labels


def main():
    args = arguments()
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

    import datasets
    import numpy as np
    import peft
    import torch
    import transformers
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    torch.set_num_threads(args.threads)
    datasets.disable_progress_bars()
    transformers.set_seed(args.seed)

    tokenizer = AutoTokenizer.from_pretrained(args.model)

    def load(path):
        texts, labels = read_lines(path)
        rows = datasets.Dataset.from_dict({"text": texts, "labels": labels})
        return rows.map(
            lambda batch: tokenizer(batch["text"], truncation=True, max_length=128),
            batched=True,
            remove_columns=["text"],
        )

    train, dev = load(args.train), load(args.dev)

    model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=2)
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(
            task_type="SEQ_CLS",
            r=args.lora_r,
            lora_alpha=args.lora_alpha,
            lora_dropout=args.lora_dropout,
            target_modules=["query", "value"],
        ),
    )

    class Clock(TrainerCallback):
        """Notes when the first and the tenth step ended, and when training ended."""

        def __init__(self):
            self.first_step = None
            self.tenth_step = None
            self.end = None

        def on_step_end(self, _args, state, control, **kwargs):
            if state.global_step == 1:
                self.first_step = seconds_since_process_start()
            if state.global_step == 10:
                self.tenth_step = time.perf_counter()

        def on_train_end(self, _args, state, control, **kwargs):
            self.end = time.perf_counter()

    clock = Clock()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=os.path.join(os.environ.get("TMPDIR", "/tmp"), f"peer-train-{os.getpid()}"),
            seed=args.seed,
            num_train_epochs=args.epochs,
            max_steps=args.max_steps,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0,
            weight_decay=0.0,
            max_grad_norm=1.0,
            train_sampling_strategy="group_by_length",
            logging_strategy="no",
            save_strategy="no",
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
        ),
        train_dataset=train,
        eval_dataset=dev,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda p: {"accuracy": float((np.argmax(p.predictions, -1) == p.label_ids).mean())},
        callbacks=[clock],
    )

    trainer.remove_callback(PrinterCallback)  # it writes to stdout, which is for the figures

    if args.profile:
        profile(trainer, torch)
        return

    started = time.perf_counter()
    result = trainer.train()
    train_s = time.perf_counter() - started
    steps = result.global_step
    examples = min(steps * args.batch_size, round(len(train) * args.epochs))

    before_eval = time.perf_counter()
    scores = trainer.evaluate()
    eval_s = time.perf_counter() - before_eval

    trainable, total = model.get_nb_trainable_parameters()
    steady = None
    if clock.tenth_step is not None and steps > 10:
        steady = (examples - 10 * args.batch_size) / (clock.end - clock.tenth_step)
    json.dump(
        {
            "versions": {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "peft": peft.__version__,
                "datasets": datasets.__version__,
                "python": sys.version.split()[0],
            },
            "seed": args.seed,
            "threads": args.threads,
            "batch_size": args.batch_size,
            "learning_rate": args.learning_rate,
            "lora": {"r": args.lora_r, "alpha": args.lora_alpha, "dropout": args.lora_dropout},
            "trainable_parameters": trainable,
            "total_parameters": total,
            "steps": steps,
            "train_examples": examples,
            "train_s": round(train_s, 3),
            "train_examples_per_s": round(examples / train_s, 2),
            "steady_examples_per_s": None if steady is None else round(steady, 2),
            "eval_examples": len(dev),
            "eval_s": round(eval_s, 3),
            "eval_examples_per_s": round(len(dev) / eval_s, 2),
            "first_step_s": round(clock.first_step, 3),
            "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "train_loss": result.training_loss,
            "eval_loss": scores["eval_loss"],
            "accuracy": scores["eval_accuracy"],
        },
        sys.stdout,
    )
    print()


def profile(trainer, torch):
    """Prints the operators of forty training steps by their own CPU time."""
    trainer.args.max_steps = 10
    trainer.train()
    trainer.args.max_steps = 40
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as prof:
        trainer.train()
    print(prof.key_averages().table(sort_by="self_cpu_time_total", row_limit=30), file=sys.stderr)


if __name__ == "__main__":
    main()
