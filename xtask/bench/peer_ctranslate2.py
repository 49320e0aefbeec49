"""Converts the encoder–decoder of the bench of generation for CTranslate2, and times that on it.

    python xtask/bench/peer_ctranslate2.py make FOLDER
    python xtask/bench/peer_ctranslate2.py run FOLDER marian --batch 16 --beams 4 --new 64

FOLDER is what peer_generate.py makes. Weights stay in float32; no end token ends a text.

Made with ctranslate2 4.8.5, torch 2.11.0, transformers 5.23.0.
"""

import ctranslate2
import peer


def converted(folder, model):
    return folder / f"{model}-ctranslate2"


def make(args):
    from ctranslate2.converters import TransformersConverter

    source = args.folder / "marian"
    made = converted(args.folder, "marian") / "model.bin"
    if made.exists() and made.stat().st_mtime > (source / "model.safetensors").stat().st_mtime:
        return
    TransformersConverter(str(source)).convert(str(made.parent), force=True)


def run(args):
    model = ctranslate2.Translator(
        str(converted(args.folder, args.model)), device="cpu", compute_type="float32", inter_threads=1, intra_threads=2,
    )

    def write(rows, new):
        results = model.translate_batch(
            rows, beam_size=args.beams, min_decoding_length=new, max_decoding_length=new, max_batch_size=args.batch,
        )
        return sum(len(result.hypotheses[0]) for result in results)

    # Each character is a token.
    peer.time_writing(args, map(list, peer.prompts(args.folder)), write)


peer.start_writing(__doc__, make, run)
