// Reductions, positions of extremes, running sums. Floats accumulate in double.

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "reference/typed.h"

namespace disco::reference {

namespace {

enum class Reduce { Sum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSum, LogSumExp };

/// Which axes go, from an attribute or (ReduceSum) an input.
Result<std::vector<bool>> reduced_axes(const Node& node, const Inputs& inputs, bool& nothing) {
  const std::int64_t rank = inputs[0].rank();
  std::vector<std::int64_t> axes = node.ints_or("axes", {});
  if (inputs.size() > 1 && !inputs[1].empty()) {
    if (inputs[1].type() != DataType::Int64)
      return error(ErrorCode::ShapeMismatch, "{}: axes must be int64", node.op);
    axes = to_int64s(inputs[1]);
  }
  nothing = axes.empty() && node.int_or("noop_with_empty_axes", 0) != 0;
  std::vector<bool> reduced(static_cast<std::size_t>(rank), axes.empty());
  for (const std::int64_t axis : axes) {
    DISCO_TRY(const std::int64_t resolved, resolve_axis(node, axis, rank));
    reduced[static_cast<std::size_t>(resolved)] = true;
  }
  return reduced;
}

template <Reduce kind, typename T>
Tensor reduce_typed(const Tensor& in, const std::vector<bool>& reduced, bool keepdims) {
  using A = std::conditional_t<std::is_floating_point_v<T>, double,
                               std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>>;
  Shape kept;  // with 1 for reduced axes
  Shape result_shape;
  for (std::size_t d = 0; d < reduced.size(); ++d) {
    kept.push_back(reduced[d] ? 1 : in.shape()[d]);
    if (!reduced[d] || keepdims) result_shape.push_back(kept.back());
  }
  A start{0};
  if (kind == Reduce::Prod) start = A{1};
  if (kind == Reduce::Max || kind == Reduce::LogSumExp)
    start =
        std::is_floating_point_v<A> ? -std::numeric_limits<A>::infinity() : std::numeric_limits<A>::lowest();
  if (kind == Reduce::Min)
    start = std::is_floating_point_v<A> ? std::numeric_limits<A>::infinity() : std::numeric_limits<A>::max();
  const std::int64_t outputs = element_count(kept);
  std::vector<A> sums(static_cast<std::size_t>(outputs), start);
  const std::vector<std::int64_t> strides[1] = {broadcast_strides(kept, in.shape())};
  const T* x = in.data<T>();
  for_each_broadcast<1>(in.shape(), strides, [&](std::int64_t i, const std::int64_t* at) {
    const A v = static_cast<A>(x[i]);
    A& s = sums[static_cast<std::size_t>(at[0])];
    if constexpr (kind == Reduce::Sum || kind == Reduce::Mean || kind == Reduce::LogSum)
      s += v;
    else if constexpr (kind == Reduce::Max || kind == Reduce::LogSumExp)
      s = v > s || v != v ? v : s;
    else if constexpr (kind == Reduce::Min)
      s = v < s || v != v ? v : s;
    else if constexpr (kind == Reduce::Prod)
      s *= v;
    else if constexpr (kind == Reduce::L1)
      s += v < A{0} ? A{0} - v : v;
    else
      s += v * v;
  });
  std::vector<double> exponentials;
  if constexpr (kind == Reduce::LogSumExp) {
    exponentials.assign(sums.size(), 0.0);
    for_each_broadcast<1>(in.shape(), strides, [&](std::int64_t i, const std::int64_t* at) {
      const auto largest = static_cast<double>(sums[static_cast<std::size_t>(at[0])]);
      exponentials[static_cast<std::size_t>(at[0])] += std::isinf(largest)
                                                           ? std::exp(static_cast<double>(x[i]))
                                                           : std::exp(static_cast<double>(x[i]) - largest);
    });
  }
  const std::int64_t count = outputs == 0 ? 1 : std::max<std::int64_t>(1, in.elements() / outputs);
  Tensor result(in.type(), result_shape);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const A s = sums[static_cast<std::size_t>(o)];
    if constexpr (kind == Reduce::Mean) {
      result.data<T>()[o] = std::is_floating_point_v<T>
                                ? static_cast<T>(static_cast<double>(s) / static_cast<double>(count))
                                : static_cast<T>(s / static_cast<A>(count));
    } else if constexpr (kind == Reduce::L2) {
      result.data<T>()[o] = static_cast<T>(std::sqrt(static_cast<double>(s)));
    } else if constexpr (kind == Reduce::LogSum) {
      result.data<T>()[o] = static_cast<T>(std::log(static_cast<double>(s)));
    } else if constexpr (kind == Reduce::LogSumExp) {
      const double e = std::log(exponentials[static_cast<std::size_t>(o)]);
      result.data<T>()[o] =
          static_cast<T>(std::isinf(static_cast<double>(s)) ? e : e + static_cast<double>(s));
    } else {
      result.data<T>()[o] = static_cast<T>(s);
    }
  }
  return result;
}

template <Reduce kind>
Result<Outputs> reduce(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 2));
  bool nothing = false;
  DISCO_TRY(const std::vector<bool> reduced, reduced_axes(node, inputs, nothing));
  if (nothing) return Outputs{inputs[0]};
  const bool keepdims = node.int_or("keepdims", 1) != 0;
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    if constexpr (std::is_same_v<T, bool>)
      return error(ErrorCode::Unsupported, "{}: of booleans", node.op);
    else
      return reduce_typed<kind, T>(inputs[0], reduced, keepdims);
  }));
}

template <bool largest>
Result<Outputs> arg_extreme(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  const AxisView view = view_axis(inputs[0].shape(), axis);
  if (view.extent == 0) return error(ErrorCode::ShapeMismatch, "{}: an empty axis has no extreme", node.op);
  const bool last = node.int_or("select_last_index", 0) != 0;
  Shape shape = inputs[0].shape();
  if (node.int_or("keepdims", 1) != 0)
    shape[static_cast<std::size_t>(axis)] = 1;
  else
    shape.erase(shape.begin() + axis);
  Tensor result(DataType::Int64, shape);
  const auto status = dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    const T* x = inputs[0].data<T>();
    for (std::int64_t o = 0; o < view.outer; ++o) {
      for (std::int64_t j = 0; j < view.inner; ++j) {
        std::int64_t best = 0;
        for (std::int64_t i = 1; i < view.extent; ++i) {
          const T a = x[(o * view.extent + i) * view.inner + j];
          const T b = x[(o * view.extent + best) * view.inner + j];
          if ((largest ? a > b : a < b) || (last && a == b)) best = i;
        }
        result.data<std::int64_t>()[o * view.inner + j] = best;
      }
    }
    return result;
  });
  return one(status);
}

Result<Outputs> cumulative_sum(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  if ((inputs[1].type() != DataType::Int64 && inputs[1].type() != DataType::Int32) ||
      inputs[1].elements() != 1) {
    return error(ErrorCode::ShapeMismatch, "CumSum: the axis must be one integer");
  }
  DISCO_TRY(const std::int64_t axis, resolve_axis(node, to_int64s(inputs[1])[0], inputs[0].rank()));
  const AxisView view = view_axis(inputs[0].shape(), axis);
  const bool exclusive = node.int_or("exclusive", 0) != 0;
  const bool reverse = node.int_or("reverse", 0) != 0;
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    Tensor result(inputs[0].type(), inputs[0].shape());
    for (std::int64_t o = 0; o < view.outer; ++o) {
      for (std::int64_t j = 0; j < view.inner; ++j) {
        T sum{};
        for (std::int64_t step = 0; step < view.extent; ++step) {
          const std::int64_t i = reverse ? view.extent - 1 - step : step;
          const std::int64_t at = (o * view.extent + i) * view.inner + j;
          const T before = sum;
          sum = static_cast<T>(sum + inputs[0].data<T>()[at]);
          result.data<T>()[at] = exclusive ? before : sum;
        }
      }
    }
    return result;
  }));
}

Result<Outputs> determinant(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  Shape shape = inputs[0].shape();
  if (shape.size() < 2 || shape.back() != shape[shape.size() - 2])
    return error(ErrorCode::ShapeMismatch, "Det: {} is not square", to_string(shape));
  const std::int64_t n = shape.back();
  shape.resize(shape.size() - 2);
  Doubles all = to_doubles(inputs[0]);
  Doubles results;
  for (std::int64_t m = 0; m < element_count(shape); ++m) {
    double* a = all.data() + m * n * n;
    double det = 1.0;
    for (std::int64_t c = 0; c < n && det != 0.0; ++c) {
      std::int64_t pivot = c;
      for (std::int64_t r = c + 1; r < n; ++r) {
        if (std::abs(a[r * n + c]) > std::abs(a[pivot * n + c])) pivot = r;
      }
      if (pivot != c) {
        std::swap_ranges(a + pivot * n, a + pivot * n + n, a + c * n);
        det = -det;
      }
      det *= a[c * n + c];
      for (std::int64_t r = c + 1; r < n && det != 0.0; ++r) {
        const double factor = a[r * n + c] / a[c * n + c];
        for (std::int64_t k = c; k < n; ++k) a[r * n + k] -= factor * a[c * n + k];
      }
    }
    results.push_back(det);
  }
  return Outputs{from_doubles(inputs[0].type(), shape, results)};
}

}  // namespace

void register_reduction(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("ReduceSum", reduce<Reduce::Sum>);
  add("ReduceMean", reduce<Reduce::Mean>);
  add("ReduceMax", reduce<Reduce::Max>);
  add("ReduceMin", reduce<Reduce::Min>);
  add("ReduceProd", reduce<Reduce::Prod>);
  add("ReduceL1", reduce<Reduce::L1>);
  add("ReduceL2", reduce<Reduce::L2>);
  add("ReduceSumSquare", reduce<Reduce::SumSquare>);
  add("ReduceLogSum", reduce<Reduce::LogSum>);
  add("ReduceLogSumExp", reduce<Reduce::LogSumExp>);
  add("ArgMax", arg_extreme<true>);
  add("ArgMin", arg_extreme<false>);
  add("CumSum", cumulative_sum);
  add("Det", determinant);
}

}  // namespace disco::reference
