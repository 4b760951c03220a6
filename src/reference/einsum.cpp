// Einsum.

#include <algorithm>
#include <map>

#include "reference/numeric.h"
#include "reference/registry.h"

namespace disco::reference {

namespace {

// Axes that an ellipsis stands for get labels of their own, counted from the right so that they broadcast.
constexpr int kEllipsisLabel = 256;

struct Term {
  std::vector<int> labels;  // one an axis; an ellipsis is expanded when the operand's rank is known
  std::size_t ellipsis = 0;
  bool has_ellipsis = false;
};

Result<Term> parse_term(std::string_view text) {
  Term term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (text.substr(i, 3) != "..." || term.has_ellipsis) {
        return error(ErrorCode::InvalidModel, "Einsum: '{}' is not a term", text);
      }
      term.has_ellipsis = true;
      term.ellipsis = term.labels.size();
      i += 2;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      term.labels.push_back(c);
    } else {
      return error(ErrorCode::InvalidModel, "Einsum: '{}' in a term", c);
    }
  }
  return term;
}

struct Equation {
  std::vector<Term> operands;
  Term output;
};

Result<Equation> parse_equation(std::string text) {
  std::erase(text, ' ');
  Equation equation;
  const std::size_t arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  for (;;) {
    const std::size_t comma = left.find(',');
    DISCO_TRY(Term term, parse_term(left.substr(0, comma)));
    equation.operands.push_back(std::move(term));
    if (comma == std::string_view::npos) break;
    left = left.substr(comma + 1);
  }
  if (arrow != std::string::npos) {
    DISCO_TRY(equation.output, parse_term(std::string_view(text).substr(arrow + 2)));
    return equation;
  }
  // Without an arrow: the ellipsis, then every label that occurs once, in alphabetical order.
  std::map<int, int> uses;
  for (const Term& term : equation.operands) {
    for (const int label : term.labels) ++uses[label];
    equation.output.has_ellipsis = equation.output.has_ellipsis || term.has_ellipsis;
  }
  for (const auto& [label, count] : uses) {
    if (count == 1) equation.output.labels.push_back(label);
  }
  return equation;
}

void expand_ellipsis(Term& term, std::size_t axes) {
  std::vector<int> labels;
  for (std::size_t i = 0; i < axes; ++i) labels.push_back(kEllipsisLabel + static_cast<int>(axes - 1 - i));
  term.labels.insert(term.labels.begin() + static_cast<std::ptrdiff_t>(term.ellipsis), labels.begin(),
                     labels.end());
}

/// One label's loop: its extent, and each operand's stride along it.
struct Loop {
  std::int64_t extent = 1;
  std::vector<std::int64_t> strides;
};

// Sums the product of the operands over loops [depth, end), from the operands' current offsets.
double sum_products(const std::vector<Doubles>& operands, const std::vector<Loop>& loops, std::size_t depth,
                    std::vector<std::int64_t>& offsets) {
  if (depth == loops.size()) {
    double product = 1;
    for (std::size_t i = 0; i < operands.size(); ++i)
      product *= operands[i][static_cast<std::size_t>(offsets[i])];
    return product;
  }
  const Loop& loop = loops[depth];
  double sum = 0;
  if (depth + 1 == loops.size() && operands.size() == 2) {  // the usual innermost loop: a dot product
    const double* a = operands[0].data() + offsets[0];
    const double* b = operands[1].data() + offsets[1];
    for (std::int64_t i = 0; i < loop.extent; ++i) sum += a[i * loop.strides[0]] * b[i * loop.strides[1]];
    return sum;
  }
  for (std::int64_t i = 0; i < loop.extent; ++i) {
    sum += sum_products(operands, loops, depth + 1, offsets);
    for (std::size_t k = 0; k < offsets.size(); ++k) offsets[k] += loop.strides[k];
  }
  for (std::size_t k = 0; k < offsets.size(); ++k) offsets[k] -= loop.strides[k] * loop.extent;
  return sum;
}

Result<Outputs> evaluate_einsum(const Node& node, const Inputs& inputs, const Scope& /*scope*/) {
  DISCO_TRY(Equation equation, parse_equation(node.string_or("equation", "")));
  if (equation.operands.size() != inputs.size() || inputs.empty()) {
    return error(ErrorCode::InvalidModel, "Einsum: '{}' of {} inputs", node.string_or("equation", ""),
                 inputs.size());
  }
  std::map<int, Loop> loops;
  std::size_t widest_ellipsis = 0;
  std::vector<Doubles> operands;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    Term& term = equation.operands[k];
    const Shape& shape = inputs[k].shape();
    if (inputs[k].empty() || inputs[k].type() != inputs[0].type() ||
        (!is_floating(inputs[k].type()) && !is_integer(inputs[k].type()))) {
      return error(ErrorCode::ShapeMismatch, "Einsum: inputs must be numbers of one type");
    }
    if (shape.size() < term.labels.size() || (shape.size() > term.labels.size() && !term.has_ellipsis)) {
      return error(ErrorCode::ShapeMismatch, "Einsum: '{}' with an input {} of shape {}",
                   node.string_or("equation", ""), k, to_string(shape));
    }
    if (term.has_ellipsis) {
      widest_ellipsis = std::max(widest_ellipsis, shape.size() - term.labels.size());
      expand_ellipsis(term, shape.size() - term.labels.size());
    }
    std::int64_t stride = 1;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      const auto [found, fresh] = loops.try_emplace(term.labels[axis]);
      Loop& loop = found->second;
      loop.strides.resize(inputs.size(), 0);
      if (fresh || loop.extent == 1) {
        loop.extent = shape[axis];
      } else if (shape[axis] != loop.extent && shape[axis] != 1) {
        return error(ErrorCode::ShapeMismatch, "Einsum: '{}': extents {} and {} of one label",
                     node.string_or("equation", ""), loop.extent, shape[axis]);
      }
      if (shape[axis] != 1) loop.strides[k] += stride;  // a repeated label walks the diagonal
      stride *= shape[axis];
    }
    operands.push_back(to_doubles(inputs[k]));
  }
  if (equation.output.has_ellipsis) expand_ellipsis(equation.output, widest_ellipsis);
  std::vector<Loop> kept;
  Shape shape;
  for (const int label : equation.output.labels) {
    const auto found = loops.find(label);
    if (found == loops.end()) {  // unknown, or named twice in the output
      return error(ErrorCode::InvalidModel, "Einsum: the output of '{}'", node.string_or("equation", ""));
    }
    shape.push_back(found->second.extent);
    kept.push_back(std::move(found->second));
    loops.erase(found);
  }
  DISCO_CHECK(check_extents(node, shape));
  std::vector<Loop> summed;
  for (auto& [label, loop] : loops) summed.push_back(std::move(loop));
  // The longest loop innermost.
  std::stable_sort(summed.begin(), summed.end(),
                   [](const Loop& a, const Loop& b) { return a.extent < b.extent; });

  Doubles y(static_cast<std::size_t>(element_count(shape)), 0.0);
  std::vector<std::int64_t> offsets(inputs.size(), 0);
  std::vector<std::int64_t> position(kept.size(), 0);
  for (double& value : y) {
    value = sum_products(operands, summed, 0, offsets);
    for (std::size_t axis = kept.size(); axis-- > 0;) {
      for (std::size_t k = 0; k < offsets.size(); ++k) offsets[k] += kept[axis].strides[k];
      if (++position[axis] < kept[axis].extent) break;
      for (std::size_t k = 0; k < offsets.size(); ++k)
        offsets[k] -= kept[axis].strides[k] * kept[axis].extent;
      position[axis] = 0;
    }
  }
  return Outputs{from_doubles(inputs[0].type(), shape, y)};
}

}  // namespace

void register_einsum(Registry& registry) { registry[{"", "Einsum"}] = evaluate_einsum; }

}  // namespace disco::reference
