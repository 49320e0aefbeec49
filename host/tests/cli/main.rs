//! The real binary with the plugins of the box, as users call it. Nothing here loads libtorch.

mod check;
mod formats;
mod place;
mod plugins;
mod score;
mod text;
mod tokenizer;
mod translation;
