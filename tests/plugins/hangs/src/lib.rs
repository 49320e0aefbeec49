//! A plugin whose initialiser never returns, as one that waits for a network or a lock.

use tenon_plugin_api::metric::prelude::*;

#[used]
#[cfg_attr(
    all(unix, not(target_vendor = "apple")),
    unsafe(link_section = ".init_array")
)]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(windows, unsafe(link_section = ".CRT$XCU"))]
static INITIALISER: extern "C" fn() = hang;

extern "C" fn hang() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}

/// A metric that nobody gets to see.
pub struct Unreachable;

impl Metric for Unreachable {
    const ID: &'static str = "unreachable";
    type Options = ();
    type Input = Label;

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn update(&mut self, _: Pairs<'_, Label>) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, _: Self) {}

    fn compute(&self) -> Scores {
        Scores::new()
    }
}

tenon_plugin_api::register!(metric: Unreachable);
