//! Train, fine-tune and evaluate language models from dynamically loaded plugins.

fn main() -> ! {
    tenon::cli::main()
}
