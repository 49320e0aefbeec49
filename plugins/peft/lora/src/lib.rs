//! LoRA for tenon.
