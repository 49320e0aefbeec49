"""Times metrics in Python, for `cargo xtask bench --only metrics`.

    python xtask/bench/peer_metrics.py make FOLDER FILES...   writes what is scored
    python xtask/bench/peer_metrics.py time FOLDER PEER       prints {"seconds", "scores", "version"}

FILES are lines of text, and code: `.java` and `.cs` with a method a line, `.jsonl` with Python under `code`.

Made with sacrebleu 2.6.0, rouge-score 0.1.2, RapidFuzz 3.14.6 and codebleu 0.7.0. A peer is timed from texts in
memory to the score; imports and reading are not counted, but for perplexity, which is nothing but reading.
Another one is a row in PEERS, and a row of the table in xtask/src/bench/metrics.rs.
"""

import gzip
import importlib.metadata
import json
import logging
import math
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


# Suffixes of code, and what its language is called by CodeBLEU.
LANGUAGES = {".java": "java", ".cs": "c_sharp", ".jsonl": "python"}


def sacrebleu(metric, **options):
    """A corpus score of sacrebleu's, and the package that it is from."""

    def score(predictions, references):
        import sacrebleu.metrics

        scorer = getattr(sacrebleu.metrics, metric)(**options)
        began = time.perf_counter()
        found = scorer.corpus_score(predictions, [references]).score
        return {metric.lower(): found}, time.perf_counter() - began

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
        return {"rouge1": found}, time.perf_counter() - began

    return "rouge-score", score


def exact_match(predictions, references):
    """As the `exact_match` of Hugging Face's evaluate, without case and punctuation."""
    import numpy

    began = time.perf_counter()
    table = str.maketrans("", "", string.punctuation)
    sides = [numpy.char.lower(numpy.asarray(lines)) for lines in (predictions, references)]
    sides = [numpy.char.translate(lines, table=table) for lines in sides]
    found = float(numpy.mean(sides[0] == sides[1]))
    return {"exact_match": found}, time.perf_counter() - began


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
    found = {f"distinct_{n}": len(runs) / count for n, runs in seen.items()}
    return found, time.perf_counter() - began


def repetition(predictions, _):
    """fairseq's `ngram_metrics` for three lengths, and rep with a window of 128."""
    began = time.perf_counter()
    shares, again, words = {4: [], 3: [], 2: []}, 0, 0
    for line in predictions:
        tokens = line.split()
        words += len(tokens)
        for n, found in shares.items():
            runs = list(ngrams(tokens, n))
            if runs:
                found.append(1 - len(Counter(runs)) / len(runs))
        again += sum(tokens[at] in tokens[max(0, at - 128) : at] for at in range(len(tokens)))
    found = {f"seq_rep_{n}": sum(found) / len(found) for n, found in shares.items()}
    return found | {"rep_128": again / words}, time.perf_counter() - began


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
    """Exact match and F1 of SQuAD's evaluate-v1.1.py."""
    began = time.perf_counter()
    exact = f1 = 0
    for prediction, truth in zip(predictions, references):
        exact += normalize_answer(prediction) == normalize_answer(truth)
        f1 += f1_score(prediction, truth)
    found = {"exact_match": 100 * exact / len(predictions), "f1": 100 * f1 / len(predictions)}
    return found, time.perf_counter() - began


def rapidfuzz(similarity):
    """The mean similarity. rapidfuzz is written in C++; it is called for each pair."""

    def score(predictions, references):
        from rapidfuzz import fuzz
        from rapidfuzz.distance import Levenshtein

        ratio = lambda one, other: fuzz.ratio(one, other) / 100
        of = {"levenshtein": Levenshtein.normalized_similarity, "ratio": ratio}[similarity]
        began = time.perf_counter()
        found = sum(map(of, predictions, references)) / len(predictions)
        return {"edit_similarity": found}, time.perf_counter() - began

    return "RapidFuzz", score


def perplexity(path):
    """Of sums of log-likelihoods, from the file to the score."""
    began = time.perf_counter()
    with open(path, encoding="utf-8") as file:
        sums = [json.loads(line)["numbers"] for line in file]
    nats, tokens, count = (sum(column) for column in zip(*sums))
    found = {"perplexity": math.exp(nats / tokens), "bits_per_byte": nats / math.log(2) / count}
    return found, time.perf_counter() - began


def codebleu(language):
    """Its parts that are the same in every process: the data flow's order is that of Python's sets."""

    def score(predictions, references):
        from codebleu import calc_codebleu

        began = time.perf_counter()
        found = calc_codebleu([[reference] for reference in references], predictions, language)
        seconds = time.perf_counter() - began
        parts = ["ngram_match_score", "weighted_ngram_match_score", "syntax_match_score"]
        return {part: found[part] for part in parts}, seconds

    return "codebleu", score


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
    "edit-similarity": rapidfuzz("levenshtein"),
    "edit-ratio": rapidfuzz("ratio"),
    "perplexity": ("Python", perplexity),
    **{f"codebleu-{language}": codebleu(language) for language in LANGUAGES.values()},
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
    code = [source for source in sources if Path(source).suffix in LANGUAGES]
    make_text(folder, [source for source in sources if source not in code])
    make_sums(folder)
    for suffix, language in LANGUAGES.items():
        files = [source for source in code if source.endswith(suffix)]
        if files:
            make_code(folder, language, [function for file in files for function in functions(file)])


def make_text(folder, sources):
    lines = [line for source in sources for line in read(source)]
    with open(folder / "ref.txt", "w") as references, open(folder / "pred.txt", "w") as predictions:
        for count in range(COUNT):
            line = lines[count % len(lines)]
            reference = line if count < len(lines) else perturbed(line)
            references.write(reference + "\n")
            predictions.write(perturbed(reference) + "\n")


def make_sums(folder):
    """Of the references, as if a model were undecided between e and e⁶ words."""
    with open(folder / "ref.txt") as references, open(folder / "sums.jsonl", "w") as sums:
        for line in references:
            tokens = len(line.split())
            nats = sum(random.uniform(1, 6) for _ in range(tokens))
            sums.write(json.dumps({"numbers": [nats, tokens, len(line.encode())]}) + "\n")


def functions(path):
    """The functions of a file: lines, or what stands under `code` in each."""
    lines = read(path)
    return [json.loads(line)["code"] for line in lines] if path.endswith(".jsonl") else lines


def make_code(folder, language, all):
    """Pairs of functions as they are. Those of a pair stand far from each other, so that what is parsed stays new."""
    sides = {side: open(folder / f"{language}.{side}.jsonl", "w") for side in ("ref", "pred")}
    for count in range(COUNT):
        times, place = divmod(count, len(all))
        other = place + len(all) // 4 + times % (len(all) // 2)
        for side, function in [("ref", all[place]), ("pred", all[other % len(all)])]:
            sides[side].write(json.dumps({"text": function}) + "\n")
    for file in sides.values():
        file.close()


def measure(folder, peer):
    logging.disable(logging.ERROR)
    package, score = PEERS[peer]
    found, seconds = score(*inputs(folder, peer))
    # What has no package of its own stands above, as published.
    python = package == "Python"
    version = platform.python_version() if python else importlib.metadata.version(package)
    version = f"{package} {version}"
    print(json.dumps({"seconds": seconds, "scores": found, "version": version}))


def inputs(folder, peer):
    """What the peer scores: predictions and references in memory, or a file that it reads itself."""
    if peer == "perplexity":
        return [folder / "sums.jsonl"]
    if peer.startswith("codebleu-"):
        language = peer.removeprefix("codebleu-")
        sides = [folder / f"{language}.{side}.jsonl" for side in ("pred", "ref")]
        return [[json.loads(line)["text"] for line in side.open()] for side in sides]
    sides = [folder / "pred.txt", folder / "ref.txt"]
    return [side.read_text(encoding="utf-8").split("\n")[:-1] for side in sides]


def main():
    command, folder, *rest = sys.argv[1:]
    match command:
        case "make":
            make(Path(folder), rest)
        case "time":
            measure(Path(folder), *rest)


main()
