//! Set-up and checks of tenon.

fn main() {}
