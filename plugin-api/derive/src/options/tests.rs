//! Messages of the macro, one case per mistake.

use std::fmt::Write;

use super::expand;

/// Every message for `source`, one a line.
fn messages(source: &str) -> String {
    let input = syn::parse_str(source).expect("the case is Rust");
    let error = expand(&input)
        .map(|_| ())
        .expect_err("the case is a mistake");
    error
        .into_iter()
        .map(|error| error.to_string())
        .collect::<Vec<_>>()
        .join("\n    ")
}

#[test]
fn mistakes_are_explained() {
    let cases = [
        "struct O<T> { x: T }",
        "struct O<'a> { x: &'a str }",
        "struct O(u32);",
        "union O { x: u32 }",
        "enum O {}",
        "enum O { A(u32), B { x: u32 }, C }",
        "enum O { Ab, #[option(rename = \"ab\")] C }",
        "enum O { #[option(alias = \"a\")] A }",
        "enum O { #[range(min = 1)] A }",
        "#[default(1)] struct O { /** Doc. */ x: u32 }",
        "struct O { x: u32 }",
        "struct O { /** Doc. */ #[default] x: u32 }",
        "struct O { /** Doc. */ #[default(1)] #[default(2)] x: u32 }",
        "struct O { /** Doc. */ #[default(f(1))] x: u32 }",
        "struct O { /** Doc. */ #[default(DEPTH)] x: u32 }",
        "struct O { /** Doc. */ #[default('x')] x: char }",
        "struct O { /** Doc. */ #[default(None)] x: u32 }",
        "struct O { /** Doc. */ #[default(1e999)] x: f64 }",
        "struct O { /** Doc. */ #[default(2.0)] #[range(max = 1.0)] x: f64 }",
        "struct O { /** Doc. */ #[range(min = 2, max = 1)] x: f64 }",
        "struct O { /** Doc. */ #[range(min = 2, exclusive_min = 1)] x: f64 }",
        "struct O { /** Doc. */ #[range(least = 2)] x: f64 }",
        "struct O { /** Doc. */ #[range(min = \"a\")] x: f64 }",
        "struct O { /** Doc. */ #[range()] x: f64 }",
        "struct O { /** Doc. */ #[option(name = \"y\")] x: f64 }",
        "struct O { /** Doc. */ x: f64, /** Doc. */ #[option(alias = \"x\")] y: f64 }",
        "struct O { x: u32, #[default] y: u32 }",
    ];
    let mut all = String::new();
    for case in cases {
        writeln!(all, "{case}\n    {}", messages(case)).expect("a string takes it");
    }
    insta::assert_snapshot!("mistakes", all);
}
