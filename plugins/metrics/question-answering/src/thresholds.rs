//! The threshold of no-answer probabilities at which a score is best.

/// A question whose answer came with the probability that there is none.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub no_answer_probability: f64,
    /// Exact match and F1 of the answer.
    pub scores: [f64; 2],
    pub has_answer: bool,
    /// Whether the answer is not the empty text.
    pub is_answered: bool,
}

/// Puts questions in the order of their probabilities; those of one probability stay in theirs.
pub fn by_probability(questions: &[Question]) -> Vec<Question> {
    let mut sorted = questions.to_vec();
    sorted.sort_by(|a, b| {
        let order = a
            .no_answer_probability
            .partial_cmp(&b.no_answer_probability);
        order.unwrap_or(std::cmp::Ordering::Equal)
    });
    sorted
}

/// The best mean of a score in percent, and the probability up to which questions are then answered
/// (`find_best_thresh` of the official script): one question after another is answered, those first
/// that most likely have an answer. 0 where it is best to answer none.
pub fn best(sorted: &[Question], score: usize) -> (f64, f64) {
    let without = sorted.iter().filter(|question| !question.has_answer);
    let mut now = without.count() as f64;
    let mut best = (now, 0.0);
    for question in sorted {
        now += match (question.has_answer, question.is_answered) {
            (true, _) => question.scores[score],
            (false, true) => -1.0,
            (false, false) => 0.0,
        };
        if now > best.0 {
            best = (now, question.no_answer_probability);
        }
    }
    (100.0 * best.0 / sorted.len() as f64, best.1)
}
