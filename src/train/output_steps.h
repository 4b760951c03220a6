#pragma once
// Steps that are measured by what they change in a layer's outputs, not in its weights.

#include "train/masks.h"
#include "train/rows.h"
#include "train/sensitivity.h"

namespace disco::train {

struct OutputStepOptions {
  double damping = 0.03;        ///< times the mean diagonal of the inputs' second moments
  double momentum = 0.9;        ///< of the gradients
  std::int64_t positions = 64;  ///< at most so many an item enter the moments
  std::uint64_t seed = 1;       ///< of the positions
};

/// Gradient descent in the outputs of linear maps: dL/dW becomes dL/dW (X'X)^-1 over the inputs X that a row
/// may read, so that directions in which they hardly vary, of which features have many, are learnt as fast as
/// the others; and every map's step is scaled to a share of its outputs' spread, so that one size suits all.
/// Source: the input half of Martens and Grosse 2015 (K-FAC), as Benzing 2022 uses it alone.
class OutputSteps {
 public:
  /// Counts the moments of what `network` feeds its maps now. Convolutions without groups over two axes, Gemm
  /// and MatMul with a weight of two; other parameters are not covered.
  ///
  /// @return or an error of the forward pass
  /// Holds (taps * inputs)^2 doubles for every map while it counts, then half of that.
  [[nodiscard]] static Result<OutputSteps> create(const Network& network, const Weights& weights,
                                                  const Masks& masks, const Batches& batches,
                                                  const OutputStepOptions& options = {});

  [[nodiscard]] bool covers(const std::string& parameter) const { return maps_.contains(parameter); }

  /// Steps along the gradients of the covered parameters, and zeroes them.
  /// @param size  by how much each map's outputs change, as a share of their standard deviation
  void step(Weights& weights, double size);

 private:
  /// Outputs that may read the same inputs.
  struct Group {
    at::Tensor outputs, columns;  // indices into the weight's columns, see to_columns()
    at::Tensor factor;            // Cholesky, of the damped moments
  };
  struct Map {
    MapWeight place;
    std::vector<Group> groups;
    double spread = 0.0;    // standard deviation of the outputs
    at::Tensor gradient{};  // averaged, as columns
  };

  double momentum_ = 0.0;
  std::map<std::string, Map> maps_;
};

}  // namespace disco::train
