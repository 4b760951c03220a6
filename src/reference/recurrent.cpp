// RNN, GRU, LSTM.

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <limits>

#include "reference/linear.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

struct Activation {
  std::string name;
  double alpha = 0;
  double beta = 0;

  [[nodiscard]] double operator()(double x) const {
    if (name == "Sigmoid") return 1 / (1 + std::exp(-x));
    if (name == "Tanh") return std::tanh(x);
    if (name == "Relu") return std::max(x, 0.0);
    if (name == "Affine") return alpha * x + beta;
    if (name == "LeakyRelu") return x >= 0 ? x : alpha * x;
    if (name == "ThresholdedRelu") return x > alpha ? x : 0;
    if (name == "ScaledTanh") return alpha * std::tanh(beta * x);
    if (name == "HardSigmoid") return std::clamp(alpha * x + beta, 0.0, 1.0);
    if (name == "Elu") return x >= 0 ? x : alpha * std::expm1(x);
    if (name == "Softsign") return x / (1 + std::fabs(x));
    return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));  // Softplus
  }
};

struct ActivationKind {
  std::string_view name;
  bool takes_alpha;
  double alpha;
  bool takes_beta;
  double beta;
};

constexpr std::array<ActivationKind, 11> kActivations{{{"Sigmoid", false, 0, false, 0},
                                                       {"Tanh", false, 0, false, 0},
                                                       {"Relu", false, 0, false, 0},
                                                       {"Affine", true, 1, true, 0},
                                                       {"LeakyRelu", true, 0.01, false, 0},
                                                       {"ThresholdedRelu", true, 1, false, 0},
                                                       {"ScaledTanh", true, 1, true, 1},
                                                       {"HardSigmoid", true, 0.2, true, 0.5},
                                                       {"Elu", true, 1, false, 0},
                                                       {"Softsign", false, 0, false, 0},
                                                       {"Softplus", false, 0, false, 0}}};

/// `count` activations a direction; the lists of alphas and betas serve, in order, those that take one.
Result<std::vector<Activation>> read_activations(const Node& node, const std::vector<std::string>& usual,
                                                 std::size_t directions) {
  std::vector<std::string> names;
  if (const auto found = node.attributes.find("activations"); found != node.attributes.end()) {
    if (const auto* given = std::get_if<std::vector<std::string>>(&found->second)) names = *given;
  }
  if (names.empty()) {
    for (std::size_t d = 0; d < directions; ++d) names.insert(names.end(), usual.begin(), usual.end());
  }
  if (names.size() != usual.size() * directions) {
    return error(ErrorCode::InvalidModel, "{}: {} activations for {} directions", node.op, names.size(),
                 directions);
  }
  const std::vector<float> alphas = floats_or(node, "activation_alpha", {});
  const std::vector<float> betas = floats_or(node, "activation_beta", {});
  std::size_t alpha = 0;
  std::size_t beta = 0;
  std::vector<Activation> activations;
  for (const std::string& name : names) {
    const auto same = [&](const ActivationKind& kind) {
      return std::equal(kind.name.begin(), kind.name.end(), name.begin(), name.end(), [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
      });
    };
    const auto* const kind = std::find_if(kActivations.begin(), kActivations.end(), same);
    if (kind == kActivations.end())
      return error(ErrorCode::InvalidModel, "{}: activation '{}'", node.op, name);
    Activation activation{std::string(kind->name), kind->alpha, kind->beta};
    if (kind->takes_alpha && alpha < alphas.size()) activation.alpha = alphas[alpha++];
    if (kind->takes_beta && beta < betas.size()) activation.beta = betas[beta++];
    activations.push_back(std::move(activation));
  }
  return activations;
}

/// What the three layers share: extents, and where batch and direction lie (layout 1 puts the batch first).
struct Sequence {
  std::int64_t steps = 0, batch = 0, features = 0, hidden = 0, directions = 1, gates = 1;
  bool batch_first = false;
  bool backward_first = false;  // direction "reverse"
  std::vector<std::int64_t> lengths;

  [[nodiscard]] std::int64_t input_row(std::int64_t step, std::int64_t b) const {
    return batch_first ? b * steps + step : step * batch + b;
  }
  [[nodiscard]] std::int64_t state_row(std::int64_t direction, std::int64_t b) const {
    return batch_first ? b * directions + direction : direction * batch + b;
  }
  [[nodiscard]] std::int64_t output_row(std::int64_t step, std::int64_t direction, std::int64_t b) const {
    return batch_first ? (b * steps + step) * directions + direction
                       : (step * directions + direction) * batch + b;
  }
  [[nodiscard]] Shape state_shape() const {
    return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  }
  [[nodiscard]] Shape output_shape() const {
    return batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden};
  }
};

Result<Sequence> read_sequence(const Node& node, const Inputs& inputs, std::int64_t gates) {
  const Tensor& x = inputs[0];
  const Tensor& w = inputs[1];
  const Tensor& r = inputs[2];
  Sequence sequence;
  sequence.gates = gates;
  sequence.batch_first = node.int_or("layout", 0) != 0;
  const std::string direction = node.string_or("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
    return error(ErrorCode::InvalidModel, "{}: direction '{}'", node.op, direction);
  }
  sequence.directions = direction == "bidirectional" ? 2 : 1;
  sequence.backward_first = direction == "reverse";
  if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3) {
    return error(ErrorCode::ShapeMismatch, "{}: X, W and R of shapes {}, {} and {}", node.op,
                 to_string(x.shape()), to_string(w.shape()), to_string(r.shape()));
  }
  sequence.steps = x.shape()[sequence.batch_first ? 1 : 0];
  sequence.batch = x.shape()[sequence.batch_first ? 0 : 1];
  sequence.features = x.shape()[2];
  sequence.hidden = r.shape()[2];
  const std::int64_t rows = gates * sequence.hidden;
  const auto fits = [&](std::size_t position, const Shape& shape) -> Status {
    const Tensor& tensor = input_at(inputs, position);
    if (tensor.empty() || tensor.shape() == shape) return {};
    return error(ErrorCode::ShapeMismatch, "{}: input {} is of shape {}, not {}", node.op, position,
                 to_string(tensor.shape()), to_string(shape));
  };
  if (node.int_or("hidden_size", sequence.hidden) != sequence.hidden) {
    return error(ErrorCode::ShapeMismatch, "{}: hidden_size {} with R of shape {}", node.op,
                 node.int_or("hidden_size", 0), to_string(r.shape()));
  }
  DISCO_CHECK(fits(1, {sequence.directions, rows, sequence.features}));
  DISCO_CHECK(fits(2, {sequence.directions, rows, sequence.hidden}));
  DISCO_CHECK(fits(3, {sequence.directions, 2 * rows}));
  DISCO_CHECK(fits(4, {sequence.batch}));
  DISCO_CHECK(fits(5, sequence.state_shape()));
  DISCO_CHECK(fits(6, sequence.state_shape()));
  DISCO_CHECK(fits(7, {sequence.directions, 3 * sequence.hidden}));
  DISCO_CHECK(check_extents(node, sequence.output_shape()));
  DISCO_CHECK(check_extents(node, {sequence.steps, sequence.batch, rows}));
  sequence.lengths.assign(static_cast<std::size_t>(sequence.batch), sequence.steps);
  const Tensor& lengths = input_at(inputs, 4);
  if (!lengths.empty()) {
    if (lengths.type() != DataType::Int32) {
      return error(ErrorCode::ShapeMismatch, "{}: sequence_lens of type {}", node.op,
                   to_string(lengths.type()));
    }
    sequence.lengths = to_int64s(lengths);
    for (const std::int64_t length : sequence.lengths) {
      if (length < 0 || length > sequence.steps) {
        return error(ErrorCode::ShapeMismatch, "{}: a sequence of {} in {} steps", node.op, length,
                     sequence.steps);
      }
    }
  }
  return sequence;
}

/// One step's working set: what the input adds to every gate (with its bias), and the state before and after.
struct Step {
  const double* input;      // [gates · hidden]
  const double* recurrent;  // [gates · hidden], H·Rᵀ without bias
  const double* bias;       // [gates · hidden], the recurrent bias
  const double* peephole;   // [3 · hidden] or nullptr
  double* h;
  double* c;
};

// vector · Rᵀ for `rows` rows of R from `offset` on.
Doubles recurrent_product(const Tensor& r, std::int64_t offset, const Doubles& vector, std::int64_t rows) {
  Doubles y(static_cast<std::size_t>(rows), 0.0);
  multiply_add(vector.data(), r, offset, true, 1, static_cast<std::int64_t>(vector.size()), rows, y.data());
  return y;
}

struct Cell {
  const Sequence& sequence;
  std::vector<Activation> f;  // of one direction
  double clip;
  bool linear_before_reset;
  bool input_forget;

  [[nodiscard]] double gate(std::size_t which, double x) const {
    return f[which](std::clamp(x, -clip, clip));
  }

  void rnn(const Step& s) const {
    for (std::int64_t j = 0; j < sequence.hidden; ++j)
      s.h[j] = gate(0, s.input[j] + s.recurrent[j] + s.bias[j]);
  }

  void gru(const Step& s, const Tensor& r, std::int64_t candidate_offset) const {
    const std::int64_t n = sequence.hidden;
    Doubles reset(static_cast<std::size_t>(n));
    Doubles masked(static_cast<std::size_t>(n));
    for (std::int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      reset[at] = gate(0, s.input[n + j] + s.recurrent[n + j] + s.bias[n + j]);
      masked[at] = reset[at] * s.h[j];
    }
    Doubles candidate;
    if (!linear_before_reset) candidate = recurrent_product(r, candidate_offset, masked, n);
    for (std::int64_t j = 0; j < n; ++j) {
      const auto at = static_cast<std::size_t>(j);
      const double z = gate(0, s.input[j] + s.recurrent[j] + s.bias[j]);
      const double past = linear_before_reset ? reset[at] * (s.recurrent[2 * n + j] + s.bias[2 * n + j])
                                              : candidate[at] + s.bias[2 * n + j];
      s.h[j] = (1 - z) * gate(1, s.input[2 * n + j] + past) + z * s.h[j];
    }
  }

  void lstm(const Step& s) const {  // gates i, o, f, c; peepholes i, o, f
    const std::int64_t n = sequence.hidden;
    for (std::int64_t j = 0; j < n; ++j) {
      const auto sum = [&](std::int64_t k) {
        return s.input[k * n + j] + s.recurrent[k * n + j] + s.bias[k * n + j];
      };
      const auto peep = [&](std::int64_t k, double c) {
        return s.peephole == nullptr ? 0 : s.peephole[k * n + j] * c;
      };
      const double i = gate(0, sum(0) + peep(0, s.c[j]));
      const double forget = input_forget ? 1 - i : gate(0, sum(2) + peep(2, s.c[j]));
      s.c[j] = forget * s.c[j] + i * gate(1, sum(3));
      const double o = gate(0, sum(1) + peep(1, s.c[j]));
      s.h[j] = o * f[2](s.c[j]);
    }
  }
};

Result<Outputs> evaluate_recurrent(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  const bool is_lstm = node.op == "LSTM";
  const bool is_gru = node.op == "GRU";
  const std::int64_t gates = is_lstm ? 4 : is_gru ? 3 : 1;
  DISCO_CHECK(check_inputs(node, inputs, 3, is_lstm ? 8 : 6));
  DISCO_CHECK(check_floating(node, inputs, {0, 1, 2, 3, 5, 6, 7}));
  DISCO_TRY(const Sequence sequence, read_sequence(node, inputs, gates));
  const std::vector<std::string> usual = is_lstm  ? std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"}
                                         : is_gru ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                  : std::vector<std::string>{"Tanh"};
  DISCO_TRY(const std::vector<Activation> activations,
            read_activations(node, usual, static_cast<std::size_t>(sequence.directions)));
  const double clip = node.has("clip") ? node.float_or("clip", 0) : std::numeric_limits<double>::infinity();
  if (!(clip >= 0)) return error(ErrorCode::InvalidModel, "{}: clip is {}", node.op, clip);

  const std::int64_t n = sequence.hidden;
  const std::int64_t rows = gates * n;
  const Doubles x = to_doubles(inputs[0]);
  const auto state_of = [&](std::size_t position) {
    const Tensor& tensor = input_at(inputs, position);
    return tensor.empty() ? Doubles(static_cast<std::size_t>(element_count(sequence.state_shape())), 0.0)
                          : to_doubles(tensor);
  };
  Doubles hidden = state_of(5);
  Doubles cell_state = is_lstm ? state_of(6) : Doubles{};
  const Doubles peepholes = is_lstm && !input_at(inputs, 7).empty() ? to_doubles(inputs[7]) : Doubles{};
  Doubles y(static_cast<std::size_t>(element_count(sequence.output_shape())), 0.0);

  for (std::int64_t d = 0; d < sequence.directions; ++d) {
    const bool backward = sequence.backward_first || d == 1;
    const auto first =
        activations.begin() + static_cast<std::ptrdiff_t>(d * static_cast<std::int64_t>(usual.size()));
    const Cell cell{sequence,
                    {first, first + static_cast<std::ptrdiff_t>(usual.size())},
                    clip,
                    node.int_or("linear_before_reset", 0) != 0,
                    node.int_or("input_forget", 0) != 0};
    Doubles bias(static_cast<std::size_t>(2 * rows), 0.0);
    if (!input_at(inputs, 3).empty()) convert(inputs[3], d * 2 * rows, 2 * rows, bias.data());
    // Every step's input product at once; the bias of the inputs is added to it.
    const std::int64_t lines = sequence.steps * sequence.batch;
    Doubles from_input(static_cast<std::size_t>(lines * rows));
    for (std::size_t i = 0; i < from_input.size(); ++i)
      from_input[i] = bias[i % static_cast<std::size_t>(rows)];
    multiply_add(x.data(), inputs[1], d * rows * sequence.features, true, lines, sequence.features, rows,
                 from_input.data());
    for (std::int64_t b = 0; b < sequence.batch; ++b) {
      double* h = hidden.data() + sequence.state_row(d, b) * n;
      double* c = is_lstm ? cell_state.data() + sequence.state_row(d, b) * n : nullptr;
      const std::int64_t length = sequence.lengths[static_cast<std::size_t>(b)];
      for (std::int64_t s = 0; s < length; ++s) {
        const std::int64_t t = backward ? length - 1 - s : s;
        const Doubles recurrent = recurrent_product(inputs[2], d * rows * n, Doubles(h, h + n), rows);
        const Step step{from_input.data() + sequence.input_row(t, b) * rows,
                        recurrent.data(),
                        bias.data() + rows,
                        peepholes.empty() ? nullptr : peepholes.data() + d * 3 * n,
                        h,
                        c};
        if (is_lstm) {
          cell.lstm(step);
        } else if (is_gru) {
          cell.gru(step, inputs[2], (d * rows + 2 * n) * n);
        } else {
          cell.rnn(step);
        }
        std::copy(h, h + n, y.begin() + static_cast<std::ptrdiff_t>(sequence.output_row(t, d, b) * n));
      }
    }
  }
  const DataType type = inputs[0].type();
  Outputs outputs{from_doubles(type, sequence.output_shape(), y),
                  from_doubles(type, sequence.state_shape(), hidden)};
  if (is_lstm) outputs.push_back(from_doubles(type, sequence.state_shape(), cell_state));
  return outputs;
}

}  // namespace

void register_recurrent(Registry& registry) {
  registry[{"", "RNN"}] = evaluate_recurrent;
  registry[{"", "GRU"}] = evaluate_recurrent;
  registry[{"", "LSTM"}] = evaluate_recurrent;
}

}  // namespace disco::reference
