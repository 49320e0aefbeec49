//! Changes what a service of the host answers.

#[path = "../patch.rs"]
mod patch;

fn main() {
    patch::apply(&[
        (
            "abi/services.rs",
            "    pub cancelled: extern \"C\" fn() -> bool,\n",
            "    pub cancelled: extern \"C\" fn() -> u32,\n",
        ),
        (
            "services.rs",
            "host.cancelled()()",
            "host.cancelled()() != 0",
        ),
    ]);
}
