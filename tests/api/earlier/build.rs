//! Takes out the newest methods of a PEFT method and of what it attaches.

#[path = "../patch.rs"]
mod patch;

fn main() {
    patch::apply(&[
        (
            "abi/peft.rs",
            "    fn extra_loss(&self, _args: ForwardArgs) -> AbiResult<ROption<RawTensor>> {
        AbiResult::ROk(ROption::RNone)
    }
    fn is_redundant(&self, _tensor: RStr<'_>) -> AbiResult<bool> {
        AbiResult::ROk(false)
    }
",
            "",
        ),
        (
            "abi/peft.rs",
            "    fn delta(&self) -> AbiResult<ROption<NamedTensors>> {
        AbiResult::ROk(ROption::RNone)
    }
",
            "",
        ),
        (
            "peft.rs",
            "    fn extra_loss(&self, args: ForwardArgs) -> AbiResult<ROption<RawTensor>> {
        guard(P::ID, || {
            Ok(self
                .0
                .extra_loss(&Forward::from_args(args))?
                .map(RawTensor::from)
                .into())
        })
    }

    fn is_redundant(&self, tensor: RStr<'_>) -> AbiResult<bool> {
        guard(P::ID, || Ok(self.0.is_redundant(tensor.as_str())))
    }
",
            "",
        ),
        (
            "peft.rs",
            "    fn delta(&self) -> AbiResult<ROption<NamedTensors>> {
        guard(self.0.component(), || {
            Ok(self.0.delta()?.map(NamedTensors::from).into())
        })
    }
",
            "",
        ),
    ]);
}
