"""Runs nanoGPT's own train.py on tiny Shakespeare, character by character, as its README has it for a CPU.

    python xtask/bench/peer_nanogpt.py make FOLDER TEXT
    python xtask/bench/peer_nanogpt.py run FOLDER NANOGPT --max-iters 2000

`make` splits the text by characters, nine tenths for training, and writes what nanoGPT's prepare.py would; beside it
the same parts as text. `run` changes nothing in the checkout NANOGPT. Prints one JSON object:
  tokens_per_s   over the seconds that train.py gives of its iterations, without those that evaluate
  seconds        of the whole process
  peak_rss_mib   highest resident memory of the process

Made with torch 2.11.0, numpy 2.4.6, nanoGPT 3adf61e.
"""

import os
import pathlib
import pickle
import re
import resource
import subprocess
import sys
import time

import peer

BLOCK, BATCH, EVALUATION = 64, 12, 250
# README.md, "I only have a macbook"; the places of data and result are added.
SETTINGS = [
    "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1",
    f"--block_size={BLOCK}", f"--batch_size={BATCH}", "--n_layer=4", "--n_head=4", "--n_embd=128",
    "--dropout=0.0",
]


def make(args):
    import numpy

    with open(args.text, encoding="utf-8", newline="") as file:
        text = file.read()
    characters = sorted(set(text))
    number = {character: id for id, character in enumerate(characters)}
    args.folder.mkdir(parents=True, exist_ok=True)
    cut = int(len(text) * 0.9)
    for short, name, part in (("train", "train", text[:cut]), ("val", "validation", text[cut:])):
        ids = numpy.array([number[character] for character in part], dtype=numpy.uint16)
        ids.tofile(args.folder / f"{short}.bin")
        (args.folder / f"{name}.txt").write_bytes(part.encode())
    meta = dict(vocab_size=len(characters), itos=dict(enumerate(characters)), stoi=number)
    (args.folder / "meta.pkl").write_bytes(pickle.dumps(meta))


def run(args):
    folder = args.folder.resolve()
    command = [
        sys.executable, "train.py", *SETTINGS, f"--max_iters={args.max_iters}", "--lr_decay_iters=2000",
        f"--dataset={folder}", f"--out_dir={folder / 'out'}",
    ]
    environment = dict(os.environ, OMP_NUM_THREADS="2", PYTHONDONTWRITEBYTECODE="1")
    begin = time.perf_counter()
    done = subprocess.run(command, cwd=args.nanogpt, env=environment, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begin
    done.check_returncode()
    times = {int(at): float(ms) for at, ms in re.findall(r"^iter (\d+): loss \S+, time (\S+)ms", done.stdout, re.M)}
    assert len(times) == args.max_iters + 1, f"{len(times)} iterations in what train.py printed"
    trained = [ms for at, ms in times.items() if at % EVALUATION]
    losses = re.findall(r"^step (\d+): train loss \S+, val loss (\S+)", done.stdout, re.M)
    peer.give(
        resource.RUSAGE_CHILDREN, iterations=len(times), tokens=len(times) * BATCH * BLOCK,
        tokens_per_s=len(trained) * BATCH * BLOCK / (sum(trained) / 1000), seconds=seconds,
        evaluated_after=int(losses[-1][0]), validation_loss=float(losses[-1][1]),
    )


def main():
    parser, made, measured = peer.command_line(__doc__)
    made.add_argument("text", type=pathlib.Path)
    measured.add_argument("nanogpt", type=pathlib.Path)
    measured.add_argument("--max-iters", type=int, default=2000)
    peer.start(parser, make, run)


main()
