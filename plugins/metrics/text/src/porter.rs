//! The Porter stemmer with NLTK's extensions, as rouge-score uses it.
//!
//! M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980) 130–137; the extensions are
//! those of NLTK 3.10's `PorterStemmer` in its default mode, `NLTK_EXTENSIONS`: a table of irregular
//! forms, and changes of steps 1a, 1b, 1c and 2 and of the condition `*o`. Words are of `a`–`z` and
//! `0`–`9`; whatever is not `a`, `e`, `i`, `o`, `u` or such a `y` is a consonant.

/// Words that the rules get wrong, with their stems.
const IRREGULAR: [(&[u8], &[u8]); 16] = [
    (b"sky", b"sky"),
    (b"skies", b"sky"),
    (b"dying", b"die"),
    (b"lying", b"lie"),
    (b"tying", b"tie"),
    (b"news", b"news"),
    (b"innings", b"inning"),
    (b"inning", b"inning"),
    (b"outings", b"outing"),
    (b"outing", b"outing"),
    (b"cannings", b"canning"),
    (b"canning", b"canning"),
    (b"howe", b"howe"),
    (b"proceed", b"proceed"),
    (b"exceed", b"exceed"),
    (b"succeed", b"succeed"),
];

type Rule = (&'static [u8], &'static [u8]);

/// Step 2, in the order in which rules are tried; each where the stem has a positive measure.
const STEP_2: [Rule; 21] = [
    (b"ational", b"ate"),
    (b"tional", b"tion"),
    (b"enci", b"ence"),
    (b"anci", b"ance"),
    (b"izer", b"ize"),
    (b"bli", b"ble"),
    (b"alli", b"al"),
    (b"entli", b"ent"),
    (b"eli", b"e"),
    (b"ousli", b"ous"),
    (b"ization", b"ize"),
    (b"ation", b"ate"),
    (b"ator", b"ate"),
    (b"alism", b"al"),
    (b"iveness", b"ive"),
    (b"fulness", b"ful"),
    (b"ousness", b"ous"),
    (b"aliti", b"al"),
    (b"iviti", b"ive"),
    (b"biliti", b"ble"),
    (b"fulli", b"ful"),
];

/// Step 3, each where the stem has a positive measure.
const STEP_3: [Rule; 7] = [
    (b"icate", b"ic"),
    (b"ative", b""),
    (b"alize", b"al"),
    (b"iciti", b"ic"),
    (b"ical", b"ic"),
    (b"ful", b""),
    (b"ness", b""),
];

/// Step 4: endings that go where the measure of the stem is above 1.
const STEP_4: [&[u8]; 19] = [
    b"al", b"ance", b"ence", b"er", b"ic", b"able", b"ible", b"ant", b"ement", b"ment", b"ent",
    b"ion", b"ou", b"ism", b"ate", b"iti", b"ous", b"ive", b"ize",
];

/// Replaces `word`, which is in lower case, by its stem.
pub fn stem(word: &mut Vec<u8>) {
    if let Some(stem) = irregular(word) {
        word.clear();
        word.extend_from_slice(stem);
        return;
    }
    if word.len() <= 2 {
        return;
    }
    step_1a(word);
    step_1b(word);
    step_1c(word);
    step_2(word);
    for (suffix, with) in STEP_3 {
        if word.ends_with(suffix) {
            replace_if(word, suffix.len(), with, |stem| measure(stem) > 0);
            break;
        }
    }
    step_4(word);
    step_5(word);
}

fn irregular(word: &[u8]) -> Option<&'static [u8]> {
    if !(3..=8).contains(&word.len()) {
        return None;
    }
    let found = IRREGULAR.iter().find(|(form, _)| *form == word);
    found.map(|(_, stem)| *stem)
}

/// Plurals.
fn step_1a(word: &mut Vec<u8>) {
    let length = word.len();
    if word.ends_with(b"ies") {
        // `dies` keeps an e that `flies` loses.
        word.truncate(length - if length == 4 { 1 } else { 2 });
    } else if word.ends_with(b"sses") {
        word.truncate(length - 2);
    } else if word.ends_with(b"s") && !word.ends_with(b"ss") {
        word.truncate(length - 1);
    }
}

/// Past tenses and participles.
fn step_1b(word: &mut Vec<u8>) {
    let length = word.len();
    if word.ends_with(b"ied") {
        word.truncate(length - if length == 4 { 1 } else { 2 });
        return;
    }
    if word.ends_with(b"eed") {
        replace_if(word, 3, b"ee", |stem| measure(stem) > 0);
        return;
    }
    let cut = [&b"ed"[..], b"ing"].into_iter().find(|suffix| {
        let stem = word.strip_suffix(*suffix);
        stem.is_some_and(contains_vowel)
    });
    let Some(suffix) = cut else { return };
    word.truncate(length - suffix.len());
    if [&b"at"[..], b"bl", b"iz"]
        .iter()
        .any(|end| word.ends_with(end))
    {
        word.push(b'e');
    } else if ends_double_consonant(word) {
        if !matches!(word.last(), Some(b'l' | b's' | b'z')) {
            word.pop();
        }
    } else if measure(word) == 1 && ends_cvc(word) {
        word.push(b'e');
    }
}

/// `y` after a consonant that is not the whole stem: `happy`, not `enjoy` or `by`.
fn step_1c(word: &mut [u8]) {
    if let Some((last, stem)) = word.split_last_mut()
        && *last == b'y'
        && stem.len() > 1
        && is_consonant(stem, stem.len() - 1)
    {
        *last = b'i';
    }
}

fn step_2(word: &mut Vec<u8>) {
    // `alli` first, and what it leaves once more.
    if word.ends_with(b"alli") && measure(&word[..word.len() - 4]) > 0 {
        word.truncate(word.len() - 2);
    }
    for (suffix, with) in STEP_2 {
        if word.ends_with(suffix) {
            replace_if(word, suffix.len(), with, |stem| measure(stem) > 0);
            return;
        }
    }
    // The l counts with the stem, so that `geologi` is like `archaeologi`.
    if word.ends_with(b"logi") && measure(&word[..word.len() - 3]) > 0 {
        word.pop();
    }
}

fn step_4(word: &mut Vec<u8>) {
    for suffix in STEP_4 {
        if word.ends_with(suffix) {
            let of_ion = |stem: &[u8]| matches!(stem.last(), Some(b's' | b't'));
            replace_if(word, suffix.len(), b"", |stem| {
                measure(stem) > 1 && (suffix != b"ion" || of_ion(stem))
            });
            return;
        }
    }
}

/// A last `e`, then a double `l`.
fn step_5(word: &mut Vec<u8>) {
    if let Some(stem) = word.strip_suffix(b"e") {
        let measure = measure(stem);
        if measure > 1 || (measure == 1 && !ends_cvc(stem)) {
            word.pop();
        }
    }
    if word.ends_with(b"ll") && measure(&word[..word.len() - 1]) > 1 {
        word.pop();
    }
}

/// Replaces the last `cut` letters if what is before them fulfils the condition.
fn replace_if(word: &mut Vec<u8>, cut: usize, with: &[u8], condition: impl Fn(&[u8]) -> bool) {
    let stem = word.len() - cut;
    if condition(&word[..stem]) {
        word.truncate(stem);
        word.extend_from_slice(with);
    }
}

fn is_vowel(letter: u8) -> bool {
    matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u')
}

/// A `y` is a consonant at the start and after a vowel.
fn is_consonant(word: &[u8], at: usize) -> bool {
    let ys = word[..=at]
        .iter()
        .rev()
        .take_while(|letter| **letter == b'y');
    let ys = ys.count();
    // Runs of y alternate; what stands before the run decides how they begin.
    let before = (at + 1).checked_sub(ys + 1).map(|before| word[before]);
    match (ys, before) {
        (0, _) => !is_vowel(word[at]),
        (ys, None) => ys % 2 == 1,
        (ys, Some(before)) => is_vowel(before) == (ys % 2 == 1),
    }
}

/// Whether each letter is a consonant, in one pass.
fn consonants(word: &[u8]) -> impl Iterator<Item = bool> + '_ {
    word.iter().scan(false, |before, letter| {
        *before = match letter {
            b'y' => !*before,
            letter => !is_vowel(*letter),
        };
        Some(*before)
    })
}

/// How often a vowel is followed by a consonant: the `m` of `[C](VC){m}[V]`.
fn measure(stem: &[u8]) -> usize {
    let mut after_vowel = false;
    let mut count = 0;
    for consonant in consonants(stem) {
        count += usize::from(after_vowel && consonant);
        after_vowel = !consonant;
    }
    count
}

fn contains_vowel(stem: &[u8]) -> bool {
    consonants(stem).any(|consonant| !consonant)
}

fn ends_double_consonant(word: &[u8]) -> bool {
    let n = word.len();
    n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1)
}

/// Consonant, vowel, consonant other than w, x, y at the end; also vowel and consonant alone.
fn ends_cvc(word: &[u8]) -> bool {
    let n = word.len();
    if n == 2 {
        return !is_consonant(word, 0) && is_consonant(word, 1);
    }
    n >= 3
        && is_consonant(word, n - 3)
        && !is_consonant(word, n - 2)
        && is_consonant(word, n - 1)
        && !matches!(word[n - 1], b'w' | b'x' | b'y')
}

#[cfg(test)]
mod tests {
    /// Made by the script beside it with NLTK.
    const FROZEN: &str = include_str!("../../../../tests/fixtures/metrics/text.json");

    fn stemmed(word: &str) -> String {
        let mut letters = word.as_bytes().to_vec();
        super::stem(&mut letters);
        String::from_utf8_lossy(&letters).into_owned()
    }

    #[test]
    fn examples_of_the_paper_and_of_nltk() {
        let cases = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("dies", "die"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("conflated", "conflat"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("happy", "happi"),
            ("enjoy", "enjoy"),
            ("relational", "relat"),
            ("geology", "geolog"),
            ("radically", "radic"),
            ("adoption", "adopt"),
            ("rate", "rate"),
            ("controll", "control"),
            ("succeed", "succeed"),
            ("skies", "sky"),
        ];
        for (word, expected) in cases {
            assert_eq!(stemmed(word), expected, "of {word}");
        }
    }

    #[test]
    fn every_rule_gives_what_nltk_gives() {
        let frozen: serde_json::Value = serde_json::from_str(FROZEN).expect("JSON");
        let list = |name: &str| -> Vec<&str> {
            let words = frozen["stems"][name].as_str();
            words.expect("a text").split(' ').collect()
        };
        let (words, stems) = (list("words"), list("stems"));
        assert_eq!((words.len(), words.len() > 2500), (stems.len(), true));
        for (word, stem) in words.iter().zip(stems) {
            assert_eq!(stemmed(word), stem, "of {word}");
        }
    }
}
