//! One more entry at the end of each table that may grow.

#[path = "../patch.rs"]
mod patch;

const LATER: &str = "fn later(&self) -> AbiResult<u64>";

fn main() {
    let defaulted = format!("    {LATER} {{\n        AbiResult::ROk(0)\n    }}\n}}\n");
    let defaulted: &'static str = defaulted.leak();
    let overridden = format!("    {LATER} {{\n        AbiResult::ROk(7)\n    }}\n\n");
    let overridden: &'static str = overridden.leak();
    patch::apply(&[
        // The plugin's table, and what the host makes of it.
        (
            "abi/root.rs",
            "    pub processor: extern \"C\" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedProcessor>,\n",
            "    pub processor: extern \"C\" fn(RStr<'_>, RStr<'_>) -> AbiResult<BoxedProcessor>,\n    \
             pub later: extern \"C\" fn() -> u64,\n",
        ),
        (
            "register.rs",
            "        processor: processor::<I>,\n",
            "        processor: processor::<I>,\n        later,\n",
        ),
        (
            "register.rs",
            "extern \"C\" fn manifest<I: Identity>()",
            "extern \"C\" fn later() -> u64 {\n    42\n}\n\nextern \"C\" fn manifest<I: Identity>()",
        ),
        (
            "host/mod.rs",
            "    /// The manifest: one line of JSON.\n",
            "    pub fn later(&self) -> Option<u64> {\n        self.root.later().map(|later| later())\n    }\n\n    \
             /// The manifest: one line of JSON.\n",
        ),
        // The host's services, and what a plugin makes of them.
        (
            "abi/services.rs",
            "    pub parallel_for: extern \"C\" fn(u64, *const c_void, IndexedCall),\n",
            "    pub parallel_for: extern \"C\" fn(u64, *const c_void, IndexedCall),\n    \
             pub later: extern \"C\" fn(u64) -> u64,\n",
        ),
        (
            "host/services.rs",
            "            parallel_for,\n",
            "            parallel_for,\n            later,\n",
        ),
        (
            "host/services.rs",
            "extern \"C\" fn cancelled()",
            "extern \"C\" fn later(value: u64) -> u64 {\n    value + 1\n}\n\nextern \"C\" fn cancelled()",
        ),
        (
            "services.rs",
            "/// A seed derived from",
            "pub fn later(value: u64) -> Option<u64> {\n    host()?.later().map(|later| later(value))\n}\n\n\
             /// A seed derived from",
        ),
        // A component's object, behind the metric's last method.
        (
            "abi/metric.rs",
            "        AbiResult::RErr(not_resampled().into())\n    }\n}\n",
            format!("        AbiResult::RErr(not_resampled().into())\n    }}\n{defaulted}").leak(),
        ),
        (
            "metric/adapter.rs",
            "    fn identity(&self) -> u64 {\n",
            format!("{overridden}    fn identity(&self) -> u64 {{\n").leak(),
        ),
        (
            "host/handles/metric.rs",
            "    /// Takes in all that `other` has seen.\n",
            "    pub fn later(&self) -> Result<u64> {\n        self.from.answer(self.object.later())\n    }\n\n    \
             /// Takes in all that `other` has seen.\n",
        ),
    ]);
}
