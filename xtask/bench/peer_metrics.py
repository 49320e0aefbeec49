"""Times metrics in Python, for `cargo xtask bench --only metrics`.

    python xtask/bench/peer_metrics.py make FOLDER LINES...   writes pred.txt and ref.txt
    python xtask/bench/peer_metrics.py time FOLDER PEER       prints {"seconds", "score", "version"}

Made with sacrebleu 2.6.0. A peer is timed from lines in memory to the score; imports and
reading are not counted. Another one is a row in PEERS, and a row of the table in
xtask/src/bench/metrics.rs.
"""

import gzip
import importlib.metadata
import json
import logging
import random
import sys
import time
from pathlib import Path

COUNT = 100_000
SEED = 1


def sacrebleu(metric, **options):
    """A corpus score of sacrebleu's, and the package that it is from."""

    def score(predictions, references):
        import sacrebleu.metrics

        scorer = getattr(sacrebleu.metrics, metric)(**options)
        began = time.perf_counter()
        found = scorer.corpus_score(predictions, [references]).score
        return found, time.perf_counter() - began

    return "sacrebleu", score


PEERS = {
    "bleu": sacrebleu("BLEU"),
    "bleu-intl": sacrebleu("BLEU", tokenize="intl"),
    "chrf": sacrebleu("CHRF"),
    "chrf++": sacrebleu("CHRF", word_order=2),
    "ter": sacrebleu("TER"),
}


def perturbed(line):
    """The line with some words dropped, changed or doubled, and now and then a phrase moved."""
    words = line.split(" ")
    kept = []
    for word in words:
        chance = random.random()
        if chance < 0.08:
            continue
        if chance < 0.16:
            word = random.choice(words)
        elif chance < 0.2 and len(word) > 2:
            word = word[:-1]
        kept.append(word)
    if len(kept) > 6 and random.random() < 0.5:
        start = random.randrange(len(kept) - 3)
        phrase = kept[start : start + 3]
        del kept[start : start + 3]
        to = random.randrange(len(kept) + 1)
        kept[to:to] = phrase
    return " ".join(kept).strip() or line


def read(path):
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as file:
        # Of a table, the last column.
        lines = [line.rstrip("\n").replace("\r", " ").split("\t")[-1].strip() for line in file]
    return [line for line in lines if line]


def make(folder, sources):
    random.seed(SEED)
    lines = [line for source in sources for line in read(source)]
    with open(folder / "ref.txt", "w") as references, open(folder / "pred.txt", "w") as predictions:
        for count in range(COUNT):
            line = lines[count % len(lines)]
            reference = line if count < len(lines) else perturbed(line)
            references.write(reference + "\n")
            predictions.write(perturbed(reference) + "\n")


def measure(folder, peer):
    logging.disable(logging.ERROR)
    package, score = PEERS[peer]
    lines = lambda name: (folder / name).read_text(encoding="utf-8").split("\n")[:-1]
    found, seconds = score(lines("pred.txt"), lines("ref.txt"))
    version = f"{package} {importlib.metadata.version(package)}"
    print(json.dumps({"seconds": seconds, "score": found, "version": version}))


def main():
    command, folder, *rest = sys.argv[1:]
    match command:
        case "make":
            make(Path(folder), rest)
        case "time":
            measure(Path(folder), *rest)


main()
