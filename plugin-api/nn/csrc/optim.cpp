// libtorch's multi-tensor kernels for the optimizer, which tch does not offer. `src/optim.rs` is the only
// user of this file.

#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstring>
#include <exception>
#include <vector>

namespace {

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    out.push_back(*tensors[i]);
  }
  return out;
}

template <typename Body>
char* guarded(Body body) {
  try {
    at::NoGradGuard no_grad;
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("unknown C++ exception");
  }
}

}  // namespace

extern "C" {

// One AdamW step in place over all parameters. Returns null, or a message to be freed with free().
char* tenon_nn_adamw(at::Tensor* const* params, at::Tensor* const* grads, at::Tensor* const* exp_avgs,
                     at::Tensor* const* exp_avg_sqs, at::Tensor* const* steps, size_t count, double lr,
                     double beta1, double beta2, double weight_decay, double eps) {
  return guarded([&] {
    auto state_steps = list(steps, count);
    at::_foreach_add_(state_steps, 1);
    at::_fused_adamw_(list(params, count), list(grads, count), list(exp_avgs, count), list(exp_avg_sqs, count),
                      {}, state_steps, lr, beta1, beta2, weight_decay, eps, /*amsgrad=*/false,
                      /*maximize=*/false);
  });
}

// Takes the gradients of all tensors away, so that they have none. Same answer as above.
char* tenon_nn_forget_grads(at::Tensor* const* tensors, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i) {
      tensors[i]->mutable_grad().reset();
    }
  });
}

// The L2 norm of all gradients together, as a scalar tensor in *norm. Same answer as above.
char* tenon_nn_grad_norm(at::Tensor* const* grads, size_t count, at::Tensor** norm) {
  return guarded([&] {
    auto norms = at::_foreach_norm(list(grads, count), 2);
    *norm = new at::Tensor(at::linalg_vector_norm(at::stack(norms)));
  });
}

// Multiplies all tensors by a scalar tensor, in place. Same answer as above.
char* tenon_nn_scale(at::Tensor* const* tensors, size_t count, const at::Tensor* by) {
  return guarded([&] { at::_foreach_mul_(list(tensors, count), *by); });
}

}
