"""Times metrics in Python, for `cargo xtask bench --only metrics`.

    python xtask/bench/peer_metrics.py make FOLDER LINES...   writes pred.txt and ref.txt
    python xtask/bench/peer_metrics.py time FOLDER PEER       prints {"seconds", "score", "version"}

Made with sacrebleu 2.6.0 and rouge-score 0.1.2. A peer is timed from lines in memory to the score; imports and
reading are not counted. Another one is a row in PEERS, and a row of the table in
xtask/src/bench/metrics.rs.
"""

import gzip
import importlib.metadata
import json
import logging
import platform
import random
import re
import string
import sys
import time
from collections import Counter
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


def rouge(stemmer):
    """The mean F of rouge-score's first type, of the four that are usual."""

    def score(predictions, references):
        import numpy
        from rouge_score import rouge_scorer

        types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
        scorer = rouge_scorer.RougeScorer(types, use_stemmer=stemmer)
        began = time.perf_counter()
        scores = [scorer.score(r, p) for p, r in zip(predictions, references)]
        found = float(numpy.mean([score["rouge1"].fmeasure for score in scores]))
        return found, time.perf_counter() - began

    return "rouge-score", score


def exact_match(predictions, references):
    """As the `exact_match` of Hugging Face's evaluate, without case and punctuation."""
    import numpy

    began = time.perf_counter()
    table = str.maketrans("", "", string.punctuation)
    sides = [numpy.char.lower(numpy.asarray(lines)) for lines in (predictions, references)]
    sides = [numpy.char.translate(lines, table=table) for lines in sides]
    return float(numpy.mean(sides[0] == sides[1])), time.perf_counter() - began


def ngrams(tokens, n):
    return zip(*(tokens[i:] for i in range(n)))


def distinct(predictions, _):
    """Distinct words over words, and distinct pairs (Li et al. 2016)."""
    began = time.perf_counter()
    seen, count = {1: set(), 2: set()}, 0
    for line in predictions:
        tokens = line.split()
        count += len(tokens)
        for n, runs in seen.items():
            runs.update(ngrams(tokens, n))
    return len(seen[1]) / count, time.perf_counter() - began


def repetition(predictions, _):
    """fairseq's `ngram_metrics` for three lengths, and rep with a window of 128."""
    began = time.perf_counter()
    shares, again = {4: [], 3: [], 2: []}, 0
    for line in predictions:
        tokens = line.split()
        for n, found in shares.items():
            runs = list(ngrams(tokens, n))
            if runs:
                found.append(1 - len(Counter(runs)) / len(runs))
        again += sum(tokens[at] in tokens[max(0, at - 128) : at] for at in range(len(tokens)))
    return sum(shares[4]) / len(shares[4]), time.perf_counter() - began


def normalize_answer(text):
    """As in evaluate-v1.1.py."""
    exclude = set(string.punctuation)
    text = "".join(letter for letter in text.lower() if letter not in exclude)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1_score(prediction, truth):
    """As in evaluate-v1.1.py."""
    predicted, true = normalize_answer(prediction).split(), normalize_answer(truth).split()
    same = sum((Counter(predicted) & Counter(true)).values())
    if same == 0:
        return 0
    precision, recall = same / len(predicted), same / len(true)
    return 2 * precision * recall / (precision + recall)


def squad(predictions, references):
    """Exact match of SQuAD's evaluate-v1.1.py, which computes F1 too."""
    began = time.perf_counter()
    exact = f1 = 0
    for prediction, truth in zip(predictions, references):
        exact += normalize_answer(prediction) == normalize_answer(truth)
        f1 += f1_score(prediction, truth)
    return 100 * exact / len(predictions), time.perf_counter() - began


PEERS = {
    "bleu": sacrebleu("BLEU"),
    "bleu-intl": sacrebleu("BLEU", tokenize="intl"),
    "chrf": sacrebleu("CHRF"),
    "chrf++": sacrebleu("CHRF", word_order=2),
    "ter": sacrebleu("TER"),
    "rouge": rouge(stemmer=False),
    "rouge-stemmer": rouge(stemmer=True),
    "exact-match": ("numpy", exact_match),
    "distinct": ("Python", distinct),
    "repetition": ("Python", repetition),
    "squad": ("Python", squad),
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
    # What has no package of its own stands above, as published.
    python = package == "Python"
    version = platform.python_version() if python else importlib.metadata.version(package)
    version = f"{package} {version}"
    print(json.dumps({"seconds": seconds, "score": found, "version": version}))


def main():
    command, folder, *rest = sys.argv[1:]
    match command:
        case "make":
            make(Path(folder), rest)
        case "time":
            measure(Path(folder), *rest)


main()
