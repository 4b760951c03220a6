// Arithmetic, comparison, logic and conversion of elements.

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "reference/typed.h"

namespace disco::reference {

void register_activation(Registry& registry);  // activation.cpp

Result<Shape> broadcast_shape(const Node& node, const Shape& a, const Shape& b) {
  Shape shape(std::max(a.size(), b.size()), 1);
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const std::int64_t x = d + a.size() >= shape.size() ? a[d + a.size() - shape.size()] : 1;
    const std::int64_t y = d + b.size() >= shape.size() ? b[d + b.size() - shape.size()] : 1;
    if (x != y && x != 1 && y != 1) {
      return error(ErrorCode::ShapeMismatch, "{}: {} and {} cannot be broadcast together", node.op,
                   to_string(a), to_string(b));
    }
    shape[d] = x == 1 ? y : x;
  }
  return shape;
}

std::vector<std::int64_t> broadcast_strides(const Shape& in, const Shape& out) {
  std::vector<std::int64_t> strides(out.size(), 0);
  std::int64_t stride = 1;
  for (std::size_t d = in.size(); d-- > 0;) {
    if (in[d] != 1) strides[d + out.size() - in.size()] = stride;
    stride *= in[d];
  }
  return strides;
}

namespace {

template <typename To, typename From>
To convert_element(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // Out of range is undefined in C++; NumPy wraps through int64 and saturation is as good.
    if (std::isnan(x)) return 0;
    if (x >= static_cast<From>(9223372036854775807.0))
      return static_cast<To>(std::numeric_limits<std::int64_t>::max());
    if (x <= static_cast<From>(-9223372036854775808.0))
      return static_cast<To>(std::numeric_limits<std::int64_t>::min());
    return static_cast<To>(static_cast<std::int64_t>(x));
  } else {
    return static_cast<To>(x);
  }
}

/// Both inputs in one type.
Status check_same_type(const Node& node, const Inputs& inputs) {
  for (const Tensor& tensor : inputs) {
    if (tensor.type() != inputs[0].type()) {
      return error(ErrorCode::ShapeMismatch, "{}: inputs of {} and {}", node.op, to_string(inputs[0].type()),
                   to_string(tensor.type()));
    }
  }
  return {};
}

template <typename T>
T integer_power(T base, std::int64_t exponent) {
  if (exponent < 0) return base == T{1} ? T{1} : T{0};
  T result{1};
  for (; exponent > 0; exponent >>= 1, base = static_cast<T>(base * base)) {
    if ((exponent & 1) != 0) result = static_cast<T>(result * base);
  }
  return result;
}

struct AddOp {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
struct SubOp {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a - b);
  }
};
struct MulOp {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(a * b);
  }
};
struct DivOp {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == T{0}) return T{0};
      if constexpr (std::is_signed_v<T>) {
        if (b == T{-1}) return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
      }
    }
    return static_cast<T>(a / b);
  }
};
struct MaxOp {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct MinOp {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};

template <typename Op>
Result<Tensor> fold_arithmetic(const Node& node, const Tensor& a, const Tensor& b) {
  return dispatch(node, a.type(), [&]<typename T>(T*) -> Result<Tensor> {
    if constexpr (std::is_same_v<T, bool>)
      return error(ErrorCode::Unsupported, "{}: of booleans", node.op);
    else
      return binary<T, T>(node, a, b, Op{});
  });
}

/// Add, Sub, Mul, Div, and the variadic Sum, Max, Min.
template <typename Op>
Result<Outputs> arithmetic(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1U << 20U));
  DISCO_CHECK(check_same_type(node, inputs));
  Tensor result = inputs[0];
  for (std::size_t k = 1; k < inputs.size(); ++k) {
    DISCO_TRY(result, fold_arithmetic<Op>(node, result, inputs[k]));
  }
  Outputs outputs;
  outputs.push_back(inputs.size() == 1 ? result.clone() : std::move(result));
  return outputs;
}

Result<Outputs> mean(const Node& node, const Inputs& inputs, const Scope& scope) {
  DISCO_TRY(Outputs sums, arithmetic<AddOp>(node, inputs, scope));
  const auto count = static_cast<double>(inputs.size());
  return one(dispatch(node, sums[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    return unary<T>(sums[0], [&](T x) { return static_cast<T>(static_cast<double>(x) / count); });
  }));
}

Result<Outputs> modulo(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_same_type(node, inputs));
  const bool truncated = node.int_or("fmod", 0) != 0;
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    return binary<T, T>(node, inputs[0], inputs[1], [&](T a, T b) -> T {
      if constexpr (std::is_floating_point_v<T>) {
        return truncated ? std::fmod(a, b) : a - std::floor(a / b) * b;
      } else {
        if (b == T{0} || (std::is_signed_v<T> && b == static_cast<T>(-1))) return T{0};
        const T r = static_cast<T>(a % b);
        const bool fix = !truncated && std::is_signed_v<T> && r != T{0} && ((r < T{0}) != (b < T{0}));
        return fix ? static_cast<T>(r + b) : r;
      }
    });
  }));
}

Result<Outputs> power(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  const Tensor& exponent = inputs[1];
  if (is_floating(exponent.type()) || is_floating(inputs[0].type())) {
    DISCO_TRY(const Tensor a, cast(node, inputs[0], DataType::Float64));
    DISCO_TRY(const Tensor b, cast(node, exponent, DataType::Float64));
    DISCO_TRY(const Tensor result, (binary<double, double>(node, a, b, [](double x, double y) {
                return y == 2.0 ? x * x : std::pow(x, y);
              })));
    return one(cast(node, result, inputs[0].type()));
  }
  DISCO_TRY(const Tensor b, cast(node, exponent, DataType::Int64));
  DISCO_TRY(const Tensor a, cast(node, inputs[0], DataType::Int64));
  DISCO_TRY(
      const Tensor result,
      (binary<std::int64_t, std::int64_t>(node, a, b, [](std::int64_t x, std::int64_t y) {
        return static_cast<std::int64_t>(integer_power<std::uint64_t>(static_cast<std::uint64_t>(x), y));
      })));
  return one(cast(node, result, inputs[0].type()));
}

struct EqualOp {
  template <typename T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct GreaterOp {
  template <typename T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct LessOp {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct GreaterEqualOp {
  template <typename T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct LessEqualOp {
  template <typename T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};

template <typename Op>
Result<Outputs> compare(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_same_type(node, inputs));
  return one(dispatch(node, inputs[0].type(),
                      [&]<typename T>(T*) { return binary<T, bool>(node, inputs[0], inputs[1], Op{}); }));
}

template <int kind>
Result<Outputs> logic(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  if (inputs[0].type() != DataType::Bool || inputs[1].type() != DataType::Bool) {
    return error(ErrorCode::ShapeMismatch, "{}: inputs must be booleans", node.op);
  }
  return one(binary<bool, bool>(node, inputs[0], inputs[1], [](bool a, bool b) {
    if constexpr (kind == 0)
      return a && b;
    else if constexpr (kind == 1)
      return a || b;
    else
      return a != b;
  }));
}

Result<Outputs> negation(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  if (inputs[0].type() != DataType::Bool)
    return error(ErrorCode::ShapeMismatch, "Not: the input must be boolean");
  return Outputs{unary<bool>(inputs[0], [](bool x) { return !x; })};
}

Result<Outputs> bit_shift(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_CHECK(check_same_type(node, inputs));
  const bool left = node.string_or("direction", "") == "LEFT";
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    if constexpr (std::is_unsigned_v<T> && !std::is_same_v<T, bool>) {
      return binary<T, T>(node, inputs[0], inputs[1], [&](T a, T b) -> T {
        if (b >= static_cast<T>(sizeof(T) * 8)) return T{0};
        return left ? static_cast<T>(static_cast<std::uint64_t>(a) << b) : static_cast<T>(a >> b);
      });
    } else {
      return error(ErrorCode::ShapeMismatch, "BitShift: the inputs must be unsigned");
    }
  }));
}

Result<Outputs> where(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  if (inputs[0].type() != DataType::Bool || inputs[1].type() != inputs[2].type()) {
    return error(ErrorCode::ShapeMismatch, "Where: needs a boolean condition and two inputs of one type");
  }
  DISCO_TRY(const Shape both, broadcast_shape(node, inputs[1].shape(), inputs[2].shape()));
  DISCO_TRY(const Shape shape, broadcast_shape(node, inputs[0].shape(), both));
  DISCO_CHECK(check_extents(node, shape));
  Tensor result(inputs[1].type(), shape);
  const std::size_t bytes = size_of(result.type());
  const std::vector<std::int64_t> strides[3] = {broadcast_strides(inputs[0].shape(), shape),
                                                broadcast_strides(inputs[1].shape(), shape),
                                                broadcast_strides(inputs[2].shape(), shape)};
  for_each_broadcast<3>(shape, strides, [&](std::int64_t i, const std::int64_t* at) {
    const bool first = inputs[0].data<bool>()[at[0]];
    const std::byte* from =
        (first ? inputs[1].raw() : inputs[2].raw()) + static_cast<std::size_t>(first ? at[1] : at[2]) * bytes;
    std::copy_n(from, bytes, result.raw() + static_cast<std::size_t>(i) * bytes);
  });
  return Outputs{result};
}

Result<Outputs> cast_op(const Node& node, const Inputs& inputs, const Scope&) {
  const bool like = node.op == "CastLike";
  DISCO_CHECK(check_inputs(node, inputs, like ? 2 : 1, like ? 2 : 1));
  return one(cast(node, inputs[0], like ? inputs[1].type() : static_cast<DataType>(node.int_or("to", 0))));
}

Result<Outputs> clip(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 3));
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    T low = std::numeric_limits<T>::lowest();
    T high = std::numeric_limits<T>::max();
    for (std::size_t k = 1; k < inputs.size(); ++k) {
      if (inputs[k].empty()) continue;
      if (inputs[k].type() != inputs[0].type() || inputs[k].elements() != 1)
        return error(ErrorCode::ShapeMismatch, "Clip: a bound is not a scalar of the input's type");
      (k == 1 ? low : high) = inputs[k].data<T>()[0];
    }
    return unary<T>(inputs[0], [&](T x) { return std::min(std::max(x, low), high); });
  }));
}

/// y = f(x) for floating types; integers too where `F::integers`.
template <typename F>
Result<Outputs> map(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    if constexpr (std::is_floating_point_v<T>)
      return unary<T>(inputs[0], [](T x) { return static_cast<T>(F::apply(x)); });
    else if constexpr (F::integers && !std::is_same_v<T, bool>)
      return unary<T>(inputs[0], [](T x) { return static_cast<T>(F::apply(x)); });
    else
      return error(ErrorCode::Unsupported, "{}: of {}", node.op, to_string(inputs[0].type()));
  }));
}

#define DISCO_MAP(name, whole, expression)  \
  struct name {                             \
    static constexpr bool integers = whole; \
    template <typename T>                   \
    static auto apply(T x) {                \
      return expression;                    \
    }                                       \
  };
DISCO_MAP(AbsF, true, x < T{0} ? -x : (x == T{0} ? T{0} : x))
DISCO_MAP(NegF, true, -x)
DISCO_MAP(SignF, true, (x > T{0} ? 1 : 0) - (x < T{0} ? 1 : 0))
DISCO_MAP(CeilF, false, std::ceil(x))
DISCO_MAP(FloorF, false, std::floor(x))
DISCO_MAP(RoundF, false, std::nearbyint(x))
DISCO_MAP(SqrtF, false, std::sqrt(x))
DISCO_MAP(ReciprocalF, false, T{1} / x)
DISCO_MAP(ExpF, false, std::exp(x))
DISCO_MAP(LogF, false, std::log(x))
DISCO_MAP(ErfF, false, std::erf(x))
DISCO_MAP(SinF, false, std::sin(x))
DISCO_MAP(CosF, false, std::cos(x))
DISCO_MAP(TanF, false, std::tan(x))
DISCO_MAP(AsinF, false, std::asin(x))
DISCO_MAP(AcosF, false, std::acos(x))
DISCO_MAP(AtanF, false, std::atan(x))
DISCO_MAP(SinhF, false, std::sinh(x))
DISCO_MAP(CoshF, false, std::cosh(x))
DISCO_MAP(TanhF, false, std::tanh(x))
DISCO_MAP(AsinhF, false, std::asinh(x))
DISCO_MAP(AcoshF, false, std::acosh(x))
DISCO_MAP(AtanhF, false, std::atanh(x))
#undef DISCO_MAP

Result<Outputs> is_special(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const bool nan = node.op == "IsNaN";
  const bool positive = node.int_or("detect_positive", 1) != 0;
  const bool negative = node.int_or("detect_negative", 1) != 0;
  const Doubles values = to_doubles(inputs[0]);
  Tensor result(DataType::Bool, inputs[0].shape());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double x = values[i];
    result.data<bool>()[i] = nan ? std::isnan(x) : std::isinf(x) && (x > 0 ? positive : negative);
  }
  return Outputs{result};
}

}  // namespace

Result<Tensor> cast(const Node& node, const Tensor& tensor, DataType type) {
  if (tensor.type() == type) return tensor;
  if (size_of(type) == 0)
    return error(ErrorCode::Unsupported, "{}: to ONNX type {}", node.op, static_cast<int>(type));
  return dispatch(node, tensor.type(), [&]<typename From>(From*) {
    return dispatch(node, type, [&]<typename To>(To*) -> Result<Tensor> {
      Tensor result(type, tensor.shape());
      for (std::int64_t i = 0; i < tensor.elements(); ++i)
        result.data<To>()[i] = convert_element<To>(tensor.data<From>()[i]);
      return result;
    });
  });
}

void register_elementwise(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("Add", arithmetic<AddOp>);
  add("Sub", arithmetic<SubOp>);
  add("Mul", arithmetic<MulOp>);
  add("Div", arithmetic<DivOp>);
  add("Sum", arithmetic<AddOp>);
  add("Max", arithmetic<MaxOp>);
  add("Min", arithmetic<MinOp>);
  add("Mean", mean);
  add("Mod", modulo);
  add("Pow", power);
  add("Equal", compare<EqualOp>);
  add("Greater", compare<GreaterOp>);
  add("Less", compare<LessOp>);
  add("GreaterOrEqual", compare<GreaterEqualOp>);
  add("LessOrEqual", compare<LessEqualOp>);
  add("And", logic<0>);
  add("Or", logic<1>);
  add("Xor", logic<2>);
  add("Not", negation);
  add("BitShift", bit_shift);
  add("Where", where);
  add("Cast", cast_op);
  add("CastLike", cast_op);
  add("Clip", clip);
  add("Abs", map<AbsF>);
  add("Neg", map<NegF>);
  add("Sign", map<SignF>);
  add("Ceil", map<CeilF>);
  add("Floor", map<FloorF>);
  add("Round", map<RoundF>);
  add("Sqrt", map<SqrtF>);
  add("Reciprocal", map<ReciprocalF>);
  add("Exp", map<ExpF>);
  add("Log", map<LogF>);
  add("Erf", map<ErfF>);
  add("Sin", map<SinF>);
  add("Cos", map<CosF>);
  add("Tan", map<TanF>);
  add("Asin", map<AsinF>);
  add("Acos", map<AcosF>);
  add("Atan", map<AtanF>);
  add("Sinh", map<SinhF>);
  add("Cosh", map<CoshF>);
  add("Tanh", map<TanhF>);
  add("Asinh", map<AsinhF>);
  add("Acosh", map<AcoshF>);
  add("Atanh", map<AtanhF>);
  add("IsNaN", is_special);
  add("IsInf", is_special);
  register_activation(registry);
}

}  // namespace disco::reference
