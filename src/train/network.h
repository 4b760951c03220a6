#pragma once
// The graph as a differentiable network.

#include <ATen/ATen.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "train/operators.h"

namespace disco::train {

/// A model's constants by name. Networks of several batch sizes share them.
struct Weights {
  std::map<std::string, at::Tensor> parameters;  ///< what training changes; require gradients
  std::map<std::string, at::Tensor> buffers;     ///< running statistics of batch norms
  std::map<std::string, at::Tensor> constants;   ///< everything else
  at::Device device = at::kCPU;

  [[nodiscard]] const at::Tensor* find(const std::string& name) const;
};

/// Reads a graph's constants. Parameters are the weights and biases of linear maps, scales and shifts of
/// normalisations, constant operands of Add and Mul with more than one element (positional embeddings,
/// biases, layer scales), and tokens that are joined to an image's.
[[nodiscard]] Result<Weights> read_weights(const Graph& graph, at::Device device);

/// Writes parameters and buffers back into a graph with values of those names: a specialised graph, or the
/// model that it came from, where a folded chain of operators is replaced by its value.
void write_weights(const Weights& weights, Graph& graph);

/// Values of one forward pass by ValueId; undefined once nothing reads them any more.
using Values = std::vector<at::Tensor>;

class Network {
 public:
  /// @param graph    shapes fixed, see specialise(); kept by reference
  /// @return Unsupported where an operator is not claimed at all
  [[nodiscard]] static Result<Network> create(const Graph& graph, std::shared_ptr<const Weights> weights);

  [[nodiscard]] const Graph& graph() const { return *graph_; }
  /// Nodes that no gradient passes through although a parameter lies before them, for a warning.
  [[nodiscard]] const std::vector<std::size_t>& opaque() const { return opaque_; }

  /// Inputs in the order of Graph::inputs, on the weights' device.
  /// @return the outputs in the order of Graph::outputs, or Internal with torch's first line
  [[nodiscard]] Result<std::vector<at::Tensor>> forward(const std::vector<at::Tensor>& inputs,
                                                        const Mode& mode) const;

  /// Runs `hook` in place of a node's operator, which it is given.
  using Hook = std::function<std::vector<at::Tensor>(const Operator& op, std::vector<at::Tensor> inputs,
                                                     const Mode& mode)>;
  void set_hook(std::size_t n, Hook hook) { hooks_[n] = std::move(hook); }

  // ---- one node at a time, for who looks at values in between ----
  [[nodiscard]] Values begin(const std::vector<at::Tensor>& inputs) const;
  /// Computes node `n`'s outputs into `values`.
  [[nodiscard]] Status step(std::size_t n, Values& values, const Mode& mode) const;
  /// Forgets what no node after `n` reads.
  void release(std::size_t n, Values& values) const;

 private:
  const Graph* graph_ = nullptr;
  std::shared_ptr<const Weights> weights_;
  std::vector<Operator> operators_;
  std::map<std::size_t, Hook> hooks_;
  std::vector<std::vector<ValueId>> dying_;  // by node: values that it reads last
  std::vector<std::size_t> opaque_;
};

}  // namespace disco::train
