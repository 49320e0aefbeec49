// What tch does not offer of libtorch's C++: a node of the autograd graph whose backward pass is a
// Rust closure, and libtorch's own thread pool. `src/bridge.rs` is the only user of this file.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

using torch::autograd::Node;
using torch::autograd::variable_list;

extern "C" {
// Fills gradients[i] (an owned tensor, or null for none) where needed[i] is set. Returns null, or a
// message that `free_message` takes back.
typedef char* (*nn_backward)(void* closure, at::Tensor* const* outputs, size_t output_count,
                             const unsigned char* needed, at::Tensor** gradients, size_t input_count);
typedef void (*nn_release)(void* closure);
typedef void (*nn_free_message)(char* message);
typedef void (*nn_range)(void* closure, int64_t begin, int64_t end);
}

namespace {

// Owns the Rust closure from its creation until the graph is freed.
class RustNode final : public Node {
 public:
  RustNode(torch::autograd::edge_list&& edges, void* closure, nn_backward backward, nn_release release,
           nn_free_message free_message)
      : Node(std::move(edges)),
        closure_(closure),
        backward_(backward),
        release_(release),
        free_message_(free_message) {}

  ~RustNode() override { drop(); }

  std::string name() const override { return "TenonBackward"; }

  void release_variables() override { drop(); }

  variable_list apply(variable_list&& grads) override {
    if (closure_ == nullptr) {
      throw std::runtime_error("backward through the same graph a second time: its saved tensors are freed");
    }
    if (at::GradMode::is_enabled()) {
      throw std::runtime_error("tenon-nn's fused operations have no second derivative (create_graph was set)");
    }
    std::vector<at::Tensor*> outputs(grads.size());
    for (size_t i = 0; i < grads.size(); ++i) {
      outputs[i] = grads[i].defined() ? &grads[i] : nullptr;
    }
    std::vector<unsigned char> needed(num_outputs());
    for (size_t i = 0; i < needed.size(); ++i) {
      needed[i] = task_should_compute_output(i) ? 1 : 0;
    }
    std::vector<at::Tensor*> gradients(needed.size(), nullptr);
    char* message =
        backward_(closure_, outputs.data(), outputs.size(), needed.data(), gradients.data(), gradients.size());
    variable_list result(gradients.size());
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i] != nullptr) {
        result[i] = std::move(*gradients[i]);
        delete gradients[i];
      }
    }
    if (message != nullptr) {
      std::string text(message);
      free_message_(message);
      throw std::runtime_error(text);
    }
    return result;
  }

 private:
  void drop() {
    if (closure_ != nullptr) {
      release_(closure_);
      closure_ = nullptr;
    }
  }

  void* closure_;
  nn_backward backward_;
  nn_release release_;
  nn_free_message free_message_;
};

}  // namespace

extern "C" {

// Whether an operation on these inputs must be recorded for the backward pass.
int tenon_nn_needs_grad(at::Tensor* const* inputs, size_t count) {
  if (!at::GradMode::is_enabled()) {
    return 0;
  }
  for (size_t i = 0; i < count; ++i) {
    if (inputs[i]->requires_grad()) {
      return 1;
    }
  }
  return 0;
}

// Makes `output`, computed outside autograd, the result of a node over `inputs`. Takes the closure over
// in every case. Returns 1 when it could not: the graph is then as it was.
int tenon_nn_record(at::Tensor* const* inputs, size_t count, at::Tensor* output, void* closure,
                    nn_backward backward, nn_release release, nn_free_message free_message) {
  std::shared_ptr<RustNode> node;
  try {
    torch::autograd::edge_list edges;
    edges.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      edges.push_back(torch::autograd::impl::gradient_edge(*inputs[i]));
    }
    node = std::shared_ptr<RustNode>(new RustNode(std::move(edges), closure, backward, release, free_message),
                                     torch::autograd::deleteNode);
  } catch (...) {
    release(closure);
    return 1;
  }
  try {
    torch::autograd::set_history(*output, node);
    return 0;
  } catch (...) {
    return 1;
  }
}

// Runs `range` over disjoint pieces of [0, count) on libtorch's threads; no piece is smaller than `grain`
// unless it is the last. `range` must not unwind.
void tenon_nn_parallel_for(int64_t count, int64_t grain, nn_range range, void* closure) {
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { range(closure, begin, end); });
}

}
