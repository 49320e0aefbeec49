"""Converts the encoder–decoder of the bench of generation for CTranslate2, and times that on it.

    python xtask/bench/peer_ctranslate2.py make FOLDER
    python xtask/bench/peer_ctranslate2.py run FOLDER marian --batch 16 --beams 4 --new 64

FOLDER is what peer_generate.py makes. Weights stay in float32; no end token ends a text.

Made with ctranslate2 4.8.5, torch 2.11.0, transformers 5.23.0.
"""

import argparse
import json
import pathlib
import resource
import time

import ctranslate2


def converted(folder, model):
    return folder / f"{model}-ctranslate2"


def make(folder):
    from ctranslate2.converters import TransformersConverter

    made, source = converted(folder, "marian") / "model.bin", folder / "marian" / "model.safetensors"
    if made.exists() and made.stat().st_mtime > source.stat().st_mtime:
        return
    TransformersConverter(str(folder / "marian")).convert(str(made.parent), force=True)


def run(args):
    model = ctranslate2.Translator(
        str(converted(args.folder, args.model)), device="cpu", compute_type="float32", inter_threads=1, intra_threads=2,
    )
    # Each character is a token.
    prompts = [list(json.loads(line)["prompt"]) for line in open(args.folder / "prompts.jsonl")]
    prompts.sort(key=len, reverse=True)

    def write(rows, new):
        results = model.translate_batch(
            rows, beam_size=args.beams, min_decoding_length=new, max_decoding_length=new, max_batch_size=args.batch,
        )
        return sum(len(result.hypotheses[0]) for result in results)

    write(prompts[: args.batch], 4)
    begin, written = time.perf_counter(), 0
    for at in range(0, len(prompts), args.batch):
        written += write(prompts[at : at + args.batch], args.new)
    seconds = time.perf_counter() - begin
    assert written == args.new * len(prompts), (written, args.new * len(prompts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(tokens=written, seconds=seconds, tokens_per_s=written / seconds, peak_rss_mib=peak)))


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    made, measured = commands.add_parser("make"), commands.add_parser("run")
    for command in (made, measured):
        command.add_argument("folder", type=pathlib.Path)
    measured.add_argument("model")
    for name in ("batch", "beams", "new"):
        measured.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    make(args.folder) if args.command == "make" else run(args)


main()
