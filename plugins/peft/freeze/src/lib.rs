//! Partial fine-tuning for tenon: top layers, norms, biases, patterns.
