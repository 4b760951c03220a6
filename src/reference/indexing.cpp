// Gathering, scattering and positions.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

#include "reference/typed.h"

namespace disco::reference {

namespace {

bool is_index(const Tensor& tensor) {
  return tensor.type() == DataType::Int64 || tensor.type() == DataType::Int32;
}

Result<std::vector<std::int64_t>> indices_of(const Node& node, const Tensor& tensor) {
  if (!is_index(tensor))
    return error(ErrorCode::ShapeMismatch, "{}: indices must be int32 or int64", node.op);
  return to_int64s(tensor);
}

Result<std::int64_t> in_range(const Node& node, std::int64_t index, std::int64_t extent) {
  const std::int64_t at = index < 0 ? index + extent : index;
  if (at < 0 || at >= extent)
    return error(ErrorCode::ShapeMismatch, "{}: index {} of {}", node.op, index, extent);
  return at;
}

Result<Outputs> gather(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  DISCO_TRY(auto indices, indices_of(node, inputs[1]));
  const auto at = static_cast<std::size_t>(axis);
  const Shape& in = inputs[0].shape();
  Shape shape(in.begin(), in.begin() + axis);
  shape.insert(shape.end(), inputs[1].shape().begin(), inputs[1].shape().end());
  shape.insert(shape.end(), in.begin() + axis + 1, in.end());
  DISCO_CHECK(check_extents(node, shape));
  for (std::int64_t& index : indices) {
    DISCO_TRY(index, in_range(node, index, in[at]));
  }
  Tensor result(inputs[0].type(), shape);
  const std::size_t run =
      static_cast<std::size_t>(count_between(in, at + 1, in.size())) * size_of(result.type());
  std::byte* to = result.raw();
  for (std::int64_t o = 0; o < count_between(in, 0, at); ++o) {
    for (const std::int64_t index : indices) {
      std::memcpy(to, inputs[0].raw() + static_cast<std::size_t>(o * in[at] + index) * run, run);
      to += run;
    }
  }
  return Outputs{result};
}

/// f(flat position in indices, flat position in data), for GatherElements and ScatterElements.
template <typename F>
Status for_each_element(const Node& node, const Shape& data, const Tensor& index_tensor, std::int64_t axis,
                        F&& f) {
  DISCO_TRY(const auto indices, indices_of(node, index_tensor));
  const Shape& shape = index_tensor.shape();
  if (shape.size() != data.size())
    return error(ErrorCode::ShapeMismatch, "{}: indices of {} for {}", node.op, to_string(shape),
                 to_string(data));
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (static_cast<std::int64_t>(d) != axis && shape[d] > data[d])
      return error(ErrorCode::ShapeMismatch, "{}: indices of {} for {}", node.op, to_string(shape),
                   to_string(data));
  }
  std::vector<std::int64_t> position(shape.size(), 0);
  for (std::int64_t i = 0; i < index_tensor.elements(); ++i) {
    DISCO_TRY(const std::int64_t index,
              in_range(node, indices[static_cast<std::size_t>(i)], data[static_cast<std::size_t>(axis)]));
    std::int64_t flat = 0;
    for (std::size_t d = 0; d < shape.size(); ++d)
      flat = flat * data[d] + (static_cast<std::int64_t>(d) == axis ? index : position[d]);
    f(i, flat);
    for (std::size_t d = shape.size(); d-- > 0;) {
      if (++position[d] < shape[d]) break;
      position[d] = 0;
    }
  }
  return {};
}

Result<Outputs> gather_elements(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  Tensor result(inputs[0].type(), inputs[1].shape());
  const std::size_t bytes = size_of(result.type());
  DISCO_CHECK(
      for_each_element(node, inputs[0].shape(), inputs[1], axis, [&](std::int64_t i, std::int64_t flat) {
        std::memcpy(result.raw() + static_cast<std::size_t>(i) * bytes,
                    inputs[0].raw() + static_cast<std::size_t>(flat) * bytes, bytes);
      }));
  return Outputs{result};
}

/// data[to] = data[to] (reduction) update.
Status combine(const Node& node, Tensor& data, std::size_t to, const Tensor& updates, std::size_t from,
               std::size_t count) {
  const std::string reduction = node.string_or("reduction", "none");
  const std::size_t bytes = size_of(data.type());
  if (reduction == "none") {
    std::memcpy(data.raw() + to * bytes, updates.raw() + from * bytes, count * bytes);
    return {};
  }
  if (reduction != "add" && reduction != "mul" && reduction != "max" && reduction != "min") {
    return error(ErrorCode::InvalidModel, "{}: reduction '{}'", node.op, reduction);
  }
  const auto done = dispatch(node, data.type(), [&]<typename T>(T*) -> Result<Tensor> {
    for (std::size_t i = 0; i < count; ++i) {
      T& x = data.data<T>()[to + i];
      const T y = updates.data<T>()[from + i];
      if (reduction == "add")
        x = static_cast<T>(x + y);
      else if (reduction == "mul")
        x = static_cast<T>(x * y);
      else if (reduction == "max")
        x = std::max(x, y);
      else
        x = std::min(x, y);
    }
    return Tensor{};
  });
  if (!done) return done.error();
  return {};
}

Result<Outputs> scatter_elements(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  if (inputs[1].shape() != inputs[2].shape() || inputs[0].type() != inputs[2].type())
    return error(ErrorCode::ShapeMismatch, "{}: updates do not fit", node.op);
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", 0, inputs[0].rank()));
  Tensor result = inputs[0].clone();
  Status problem;
  DISCO_CHECK(
      for_each_element(node, inputs[0].shape(), inputs[1], axis, [&](std::int64_t i, std::int64_t flat) {
        if (problem)
          problem = combine(node, result, static_cast<std::size_t>(flat), inputs[2],
                            static_cast<std::size_t>(i), 1);
      }));
  DISCO_CHECK(problem);
  return Outputs{result};
}

/// The flat offset of every index tuple, for GatherND and ScatterND after `batch` axes.
Result<std::vector<std::int64_t>> tuple_offsets(const Node& node, const Shape& data,
                                                const Tensor& index_tensor, std::int64_t batch,
                                                std::int64_t& run) {
  DISCO_TRY(const auto indices, indices_of(node, index_tensor));
  if (index_tensor.rank() < 1) return error(ErrorCode::ShapeMismatch, "{}: indices need an axis", node.op);
  const std::int64_t depth = index_tensor.shape().back();
  const auto rank = static_cast<std::int64_t>(data.size());
  if (batch < 0 || depth < 1 || batch + depth > rank || batch >= index_tensor.rank())
    return error(ErrorCode::ShapeMismatch, "{}: indices of {} for {}", node.op,
                 to_string(index_tensor.shape()), to_string(data));
  for (std::int64_t d = 0; d < batch; ++d) {
    if (data[static_cast<std::size_t>(d)] != index_tensor.shape()[static_cast<std::size_t>(d)])
      return error(ErrorCode::ShapeMismatch, "{}: batch extents differ", node.op);
  }
  run = count_between(data, static_cast<std::size_t>(batch + depth), data.size());
  const std::int64_t tuples = index_tensor.elements() / depth;
  const std::int64_t batches = count_between(data, 0, static_cast<std::size_t>(batch));
  const std::int64_t per_batch = batches == 0 ? 0 : tuples / batches;
  std::vector<std::int64_t> offsets;
  for (std::int64_t t = 0; t < tuples; ++t) {
    std::int64_t flat = per_batch == 0 ? 0 : t / per_batch;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t extent = data[static_cast<std::size_t>(batch + k)];
      DISCO_TRY(const std::int64_t index,
                in_range(node, indices[static_cast<std::size_t>(t * depth + k)], extent));
      flat = flat * extent + index;
    }
    offsets.push_back(flat * run);
  }
  return offsets;
}

Result<Outputs> gather_nd(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  const std::int64_t batch = node.int_or("batch_dims", 0);
  std::int64_t run = 0;
  DISCO_TRY(const auto offsets, tuple_offsets(node, inputs[0].shape(), inputs[1], batch, run));
  Shape shape(inputs[1].shape().begin(), inputs[1].shape().end() - 1);
  shape.insert(shape.end(), inputs[0].shape().begin() + batch + inputs[1].shape().back(),
               inputs[0].shape().end());
  DISCO_CHECK(check_extents(node, shape));
  Tensor result(inputs[0].type(), shape);
  const std::size_t bytes = size_of(result.type());
  for (std::size_t t = 0; t < offsets.size(); ++t) {
    std::memcpy(result.raw() + t * static_cast<std::size_t>(run) * bytes,
                inputs[0].raw() + static_cast<std::size_t>(offsets[t]) * bytes,
                static_cast<std::size_t>(run) * bytes);
  }
  return Outputs{result};
}

Result<Outputs> scatter_nd(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  std::int64_t run = 0;
  DISCO_TRY(const auto offsets, tuple_offsets(node, inputs[0].shape(), inputs[1], 0, run));
  if (inputs[2].type() != inputs[0].type() ||
      inputs[2].elements() != static_cast<std::int64_t>(offsets.size()) * run) {
    return error(ErrorCode::ShapeMismatch, "ScatterND: updates of {} do not fit",
                 to_string(inputs[2].shape()));
  }
  Tensor result = inputs[0].clone();
  for (std::size_t t = 0; t < offsets.size(); ++t) {
    DISCO_CHECK(combine(node, result, static_cast<std::size_t>(offsets[t]), inputs[2],
                        t * static_cast<std::size_t>(run), static_cast<std::size_t>(run)));
  }
  return Outputs{result};
}

Result<Outputs> non_zero(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const Doubles values = to_doubles(inputs[0]);
  std::vector<std::int64_t> found;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 0.0) found.push_back(static_cast<std::int64_t>(i));
  }
  const auto count = static_cast<std::int64_t>(found.size());
  const Shape& in = inputs[0].shape();
  Tensor result(
      DataType::Int64,
      {static_cast<std::int64_t>(std::max<std::size_t>(in.size(), inputs[0].rank() == 0 ? 0 : 1)), count});
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t flat = found[static_cast<std::size_t>(n)];
    for (std::size_t d = in.size(); d-- > 0;) {
      result.data<std::int64_t>()[static_cast<std::int64_t>(d) * count + n] = flat % in[d];
      flat /= in[d];
    }
  }
  return Outputs{result};
}

Result<Outputs> one_hot(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  const Doubles indices = to_doubles(inputs[0]);
  if (inputs[1].elements() != 1 || inputs[2].elements() != 2)
    return error(ErrorCode::ShapeMismatch, "OneHot: depth must be one number and values two");
  const auto depth = static_cast<std::int64_t>(to_doubles(inputs[1])[0]);
  std::int64_t axis = node.int_or("axis", -1);
  if (axis < 0) axis += inputs[0].rank() + 1;
  if (axis < 0 || axis > inputs[0].rank() || depth < 0)
    return error(ErrorCode::InvalidModel, "OneHot: axis or depth cannot be");
  Shape shape = inputs[0].shape();
  shape.insert(shape.begin() + axis, depth);
  DISCO_CHECK(check_extents(node, shape));
  const std::int64_t inner = count_between(shape, static_cast<std::size_t>(axis) + 1, shape.size());
  Tensor result(inputs[2].type(), shape);
  const std::size_t bytes = size_of(result.type());
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    const std::int64_t position = i / inner % std::max<std::int64_t>(1, depth);
    const std::int64_t flat = i / inner / std::max<std::int64_t>(1, depth) * inner + i % inner;
    auto index = static_cast<std::int64_t>(indices[static_cast<std::size_t>(flat)]);
    if (index < 0) index += depth;
    std::memcpy(result.raw() + static_cast<std::size_t>(i) * bytes,
                inputs[2].raw() + (index == position ? bytes : 0), bytes);
  }
  return Outputs{result};
}

Result<Outputs> top_k(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  DISCO_TRY(const std::int64_t axis, axis_attribute(node, "axis", -1, inputs[0].rank()));
  if (inputs[1].type() != DataType::Int64 || inputs[1].elements() != 1)
    return error(ErrorCode::ShapeMismatch, "TopK: k must be one int64");
  const std::int64_t k = inputs[1].data<std::int64_t>()[0];
  const AxisView view = view_axis(inputs[0].shape(), axis);
  if (k < 0 || k > view.extent) return error(ErrorCode::ShapeMismatch, "TopK: {} of {}", k, view.extent);
  const bool largest = node.int_or("largest", 1) != 0;
  Shape shape = inputs[0].shape();
  shape[static_cast<std::size_t>(axis)] = k;
  Tensor indices(DataType::Int64, shape);
  auto values = dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    Tensor result(inputs[0].type(), shape);
    std::vector<std::int64_t> order(static_cast<std::size_t>(view.extent));
    for (std::int64_t o = 0; o < view.outer; ++o) {
      for (std::int64_t j = 0; j < view.inner; ++j) {
        const auto at = [&](std::int64_t i) {
          return inputs[0].data<T>()[(o * view.extent + i) * view.inner + j];
        };
        std::iota(order.begin(), order.end(), 0);
        // NaN ranks as the largest, so that the order is strict.
        const auto less = [](T a, T b) { return a < b || (a == a && b != b); };
        std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](std::int64_t a, std::int64_t b) {
          const T x = at(a);
          const T y = at(b);
          if (less(x, y) != less(y, x)) return largest ? less(y, x) : less(x, y);
          return a < b;
        });
        for (std::int64_t n = 0; n < k; ++n) {
          const std::int64_t to = (o * k + n) * view.inner + j;
          result.data<T>()[to] = at(order[static_cast<std::size_t>(n)]);
          indices.data<std::int64_t>()[to] = order[static_cast<std::size_t>(n)];
        }
      }
    }
    return result;
  });
  if (!values) return values.error();
  return Outputs{*values, indices};
}

Result<Outputs> range(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 3, 3));
  for (const Tensor& tensor : inputs) {
    if (tensor.elements() != 1 || tensor.type() != inputs[0].type())
      return error(ErrorCode::ShapeMismatch, "Range: start, limit and delta must be scalars of one type");
  }
  return one(dispatch(node, inputs[0].type(), [&]<typename T>(T*) -> Result<Tensor> {
    const auto start = inputs[0].data<T>()[0];
    const auto limit = inputs[1].data<T>()[0];
    const auto delta = inputs[2].data<T>()[0];
    if (delta == T{0}) return error(ErrorCode::InvalidModel, "Range: a delta of 0");
    const double steps =
        std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
    if (!(steps < static_cast<double>(kMaxElements)))
      return error(ErrorCode::ShapeMismatch, "Range: too many elements");
    Tensor result(inputs[0].type(), {std::max<std::int64_t>(0, static_cast<std::int64_t>(steps))});
    for (std::int64_t i = 0; i < result.elements(); ++i)
      result.data<T>()[i] = static_cast<T>(start + static_cast<T>(i) * delta);
    return result;
  }));
}

Result<Outputs> eye_like(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  if (inputs[0].rank() != 2) return error(ErrorCode::ShapeMismatch, "EyeLike: needs a matrix");
  const auto type = static_cast<DataType>(node.int_or("dtype", static_cast<std::int64_t>(inputs[0].type())));
  const std::int64_t k = node.int_or("k", 0);
  const Shape& shape = inputs[0].shape();
  Tensor result = Tensor::zeros(DataType::Float32, shape);
  for (std::int64_t r = 0; r < shape[0]; ++r) {
    if (r + k >= 0 && r + k < shape[1]) result.data<float>()[r * shape[1] + r + k] = 1.0F;
  }
  return one(cast(node, result, type));
}

Result<Outputs> triangle(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 2));
  if (inputs[0].rank() < 2) return error(ErrorCode::ShapeMismatch, "Trilu: needs a matrix");
  std::int64_t k = 0;
  if (inputs.size() > 1 && !inputs[1].empty()) {
    if (inputs[1].type() != DataType::Int64 || inputs[1].elements() != 1)
      return error(ErrorCode::ShapeMismatch, "Trilu: k must be one int64");
    k = inputs[1].data<std::int64_t>()[0];
  }
  const bool upper = node.int_or("upper", 1) != 0;
  Tensor result = inputs[0].clone();
  const std::int64_t rows = result.shape()[result.shape().size() - 2];
  const std::int64_t columns = result.shape().back();
  const std::size_t bytes = size_of(result.type());
  for (std::int64_t i = 0; i < result.elements(); ++i) {
    const std::int64_t c = i % columns;
    const std::int64_t r = i / columns % rows;
    const bool keep = upper ? c - r >= k : c - r <= k;
    if (!keep) std::memset(result.raw() + static_cast<std::size_t>(i) * bytes, 0, bytes);
  }
  return Outputs{result};
}

Result<Outputs> compress(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  if (inputs[1].type() != DataType::Bool || inputs[1].rank() != 1)
    return error(ErrorCode::ShapeMismatch, "Compress: the condition must be a vector of booleans");
  const bool flat = !node.has("axis");
  const Tensor data = flat ? inputs[0].reshaped({inputs[0].elements()}) : inputs[0];
  Node gather_node = node;
  DISCO_TRY(const std::int64_t axis, resolve_axis(node, flat ? 0 : node.int_or("axis", 0), data.rank()));
  gather_node.attributes["axis"] = axis;
  std::vector<std::int64_t> picked;
  for (std::int64_t i = 0; i < inputs[1].elements() && i < data.shape()[static_cast<std::size_t>(axis)];
       ++i) {
    if (inputs[1].data<bool>()[i]) picked.push_back(i);
  }
  return gather(gather_node,
                {data, Tensor::of<std::int64_t>({static_cast<std::int64_t>(picked.size())}, picked)}, {});
}

Result<Outputs> reverse_sequence(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 2, 2));
  const std::int64_t batch_axis = node.int_or("batch_axis", 1);
  const std::int64_t time_axis = node.int_or("time_axis", 0);
  const Shape& shape = inputs[0].shape();
  if (shape.size() < 2 || batch_axis + time_axis != 1 || batch_axis * time_axis != 0)
    return error(ErrorCode::InvalidModel, "ReverseSequence: axes must be 0 and 1");
  DISCO_TRY(const auto lengths, indices_of(node, inputs[1]));
  const std::int64_t batches = shape[static_cast<std::size_t>(batch_axis)];
  const std::int64_t times = shape[static_cast<std::size_t>(time_axis)];
  if (static_cast<std::int64_t>(lengths.size()) != batches)
    return error(ErrorCode::ShapeMismatch, "ReverseSequence: {} lengths for a batch of {}", lengths.size(),
                 batches);
  Tensor result = inputs[0].clone();
  const std::size_t run =
      static_cast<std::size_t>(count_between(shape, 2, shape.size())) * size_of(result.type());
  for (std::int64_t b = 0; b < batches; ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)];
    if (length < 0 || length > times)
      return error(ErrorCode::ShapeMismatch, "ReverseSequence: a length of {} out of {}", length, times);
    for (std::int64_t t = 0; t < length; ++t) {
      const auto at = [&](std::int64_t time) {
        return static_cast<std::size_t>(batch_axis == 0 ? b * times + time : time * batches + b) * run;
      };
      std::memcpy(result.raw() + at(t), inputs[0].raw() + at(length - 1 - t), run);
    }
  }
  return Outputs{result};
}

Result<Outputs> unique(const Node& node, const Inputs& inputs, const Scope&) {
  DISCO_CHECK(check_inputs(node, inputs, 1, 1));
  const bool flat = !node.has("axis");
  const Tensor data = flat ? inputs[0].reshaped({inputs[0].elements()}) : inputs[0];
  DISCO_TRY(const std::int64_t axis, resolve_axis(node, flat ? 0 : node.int_or("axis", 0), data.rank()));
  const AxisView view = view_axis(data.shape(), axis);
  const Doubles values = to_doubles(data);
  // Slices along the axis, compared element by element.
  const auto slice = [&](std::int64_t i) {
    Doubles one_slice;
    for (std::int64_t o = 0; o < view.outer; ++o) {
      for (std::int64_t j = 0; j < view.inner; ++j)
        one_slice.push_back(values[static_cast<std::size_t>((o * view.extent + i) * view.inner + j)]);
    }
    return one_slice;
  };
  std::vector<std::int64_t> first, inverse(static_cast<std::size_t>(view.extent)), counts;
  std::map<Doubles, std::int64_t> known;
  for (std::int64_t i = 0; i < view.extent; ++i) {
    const auto [at, inserted] = known.emplace(slice(i), static_cast<std::int64_t>(first.size()));
    if (inserted) {
      first.push_back(i);
      counts.push_back(0);
    }
    inverse[static_cast<std::size_t>(i)] = at->second;
    ++counts[static_cast<std::size_t>(at->second)];
  }
  if (node.int_or("sorted", 1) != 0) {
    std::vector<std::int64_t> rank(first.size());
    std::vector<std::int64_t> sorted_first, sorted_counts;
    for (const auto& [key, index] : known) {
      rank[static_cast<std::size_t>(index)] = static_cast<std::int64_t>(sorted_first.size());
      sorted_first.push_back(first[static_cast<std::size_t>(index)]);
      sorted_counts.push_back(counts[static_cast<std::size_t>(index)]);
    }
    for (auto& index : inverse) index = rank[static_cast<std::size_t>(index)];
    first = sorted_first;
    counts = sorted_counts;
  }
  const auto vector = [](const std::vector<std::int64_t>& list) {
    return Tensor::of<std::int64_t>({static_cast<std::int64_t>(list.size())}, list);
  };
  Node gather_node = node;
  gather_node.attributes["axis"] = axis;
  DISCO_TRY(Outputs outputs, gather(gather_node, {data, vector(first)}, {}));
  outputs.push_back(vector(first));
  outputs.push_back(vector(inverse));
  outputs.push_back(vector(counts));
  return outputs;
}

}  // namespace

void register_indexing(Registry& registry) {
  const auto add = [&](std::string_view name, Operator op) { registry[{"", name}] = op; };
  add("Gather", gather);
  add("GatherElements", gather_elements);
  add("GatherND", gather_nd);
  add("ScatterElements", scatter_elements);
  add("ScatterND", scatter_nd);
  add("NonZero", non_zero);
  add("OneHot", one_hot);
  add("TopK", top_k);
  add("Range", range);
  add("EyeLike", eye_like);
  add("Trilu", triangle);
  add("Compress", compress);
  add("ReverseSequence", reverse_sequence);
  add("Unique", unique);
}

}  // namespace disco::reference
