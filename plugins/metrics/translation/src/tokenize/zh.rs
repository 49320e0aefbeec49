//! Chinese characters stand alone.

/// What counts as Chinese: ideographs, radicals, strokes, punctuation, full-width forms and the
/// symbols between them.
///
/// `2001–2A6D` and `2F81–2FA1` stand for the supplementary planes in sacrebleu, whose ranges
/// U+20000–2A6D6 and U+2F800–2FA1D are written with four digits and a loose fifth. Scores are
/// compared with those of sacrebleu, so they are as they are.
const RANGES: [(char, char); 22] = [
    ('\u{3400}', '\u{4db5}'),
    ('\u{4e00}', '\u{9fa5}'),
    ('\u{9fa6}', '\u{9fbb}'),
    ('\u{f900}', '\u{fa2d}'),
    ('\u{fa30}', '\u{fa6a}'),
    ('\u{fa70}', '\u{fad9}'),
    ('\u{2001}', '\u{2a6d}'),
    ('\u{2f81}', '\u{2fa1}'),
    ('\u{ff00}', '\u{ffef}'),
    ('\u{2e80}', '\u{2eff}'),
    ('\u{3000}', '\u{303f}'),
    ('\u{31c0}', '\u{31ef}'),
    ('\u{2f00}', '\u{2fdf}'),
    ('\u{2ff0}', '\u{2fff}'),
    ('\u{3100}', '\u{312f}'),
    ('\u{31a0}', '\u{31bf}'),
    ('\u{fe10}', '\u{fe1f}'),
    ('\u{fe30}', '\u{fe4f}'),
    ('\u{2600}', '\u{26ff}'),
    ('\u{2700}', '\u{27bf}'),
    ('\u{3200}', '\u{32ff}'),
    ('\u{3300}', '\u{33ff}'),
];

/// The line with spaces around each Chinese character.
pub fn separate(line: &str) -> String {
    let mut apart = String::with_capacity(2 * line.len());
    for character in line.chars() {
        match is_chinese(character) {
            true => apart.extend([' ', character, ' ']),
            false => apart.push(character),
        }
    }
    apart
}

fn is_chinese(character: char) -> bool {
    character >= '\u{2001}'
        && RANGES
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&character))
}
