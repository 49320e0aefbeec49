// oneDNN's matrix product with fused bias, an operator of libtorch that its C++ API does not name.
// `src/bridge.rs` is the only user of this file.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/core/List.h>

#include <cstring>
#include <exception>
#include <optional>
#include <string_view>

namespace {

using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                             std::string_view, c10::List<std::optional<at::Scalar>>,
                             std::optional<std::string_view>);

// The operator, or nothing where libtorch is built without oneDNN.
const std::optional<c10::TypedOperatorHandle<Signature>>& linear_pointwise() {
  static const std::optional<c10::TypedOperatorHandle<Signature>> handle =
      []() -> std::optional<c10::TypedOperatorHandle<Signature>> {
    try {
      auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
      if (!found.has_value() || !found->hasKernelForDispatchKey(c10::DispatchKey::CPU)) {
        return std::nullopt;
      }
      return found->typed<Signature>();
    } catch (const std::exception&) {
      return std::nullopt;
    }
  }();
  return handle;
}

}  // namespace

extern "C" {

int tenon_nn_has_mkl() { return at::hasMKL() ? 1 : 0; }

int tenon_nn_has_onednn() { return linear_pointwise().has_value() ? 1 : 0; }

// x·wᵀ + bias without autograd's notice; `bias` may be null. Puts an owned tensor into `output` and returns
// null, or returns a message to be freed with `free`.
char* tenon_nn_onednn_linear(const at::Tensor* x, const at::Tensor* w, const at::Tensor* bias,
                             at::Tensor** output) {
  try {
    at::NoGradGuard no_grad;
    std::optional<at::Tensor> b;
    if (bias != nullptr) {
      b = *bias;
    }
    *output = new at::Tensor(linear_pointwise()->call(*x, *w, b, "none", c10::List<std::optional<at::Scalar>>(), ""));
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

}
