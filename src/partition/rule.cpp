#include "partition/rule.h"

#include <array>
#include <unordered_set>

#include "partition/rule_context.h"

namespace disco {

std::string_view to_string(Form form) {
  switch (form) {
    case Form::Replicated: return "replicated";
    case Form::Local: return "local";
    case Form::Linear: return "linear";
    case Form::PartialSum: return "partial sum";
    case Form::LayerNorm: return "exchanged statistics";
    case Form::Softmax: return "exchanged statistics";
  }
  return "unknown";
}

namespace {

using Names = std::unordered_set<std::string_view>;

const Names kLinear = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum"};

// clang-format off
const Names kElementwise = {
    "Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean", "And", "Or", "Xor", "Not",
    "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Where", "BitShift", "Abs", "Acos",
    "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh",
    "Elu", "Erf", "Exp", "Floor", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu",
    "Log", "Mish", "Neg", "PRelu", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign",
    "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu", "Dropout"
};
// clang-format on

// Channels on axis 1; every other axis but the batch is worked on.
const Names kPerChannel = {"MaxPool",
                           "AveragePool",
                           "LpPool",
                           "GlobalAveragePool",
                           "GlobalMaxPool",
                           "GlobalLpPool",
                           "BatchNormalization",
                           "InstanceNormalization",
                           "LRN",
                           "GridSample",
                           "RoiAlign",
                           "MaxRoiPool",
                           "DepthToSpace",
                           "SpaceToDepth"};

const Names kReshape = {"Reshape", "Flatten", "Squeeze", "Unsqueeze"};

const Names kMovement = {"Transpose", "Concat", "Split", "Slice", "Gather",
                         "Pad",       "Expand", "Tile",  "Resize"};

const Names kReduction = {"ReduceSum",
                          "ReduceMean",
                          "ReduceMax",
                          "ReduceMin",
                          "ReduceProd",
                          "ReduceL1",
                          "ReduceL2",
                          "ReduceSumSquare",
                          "ReduceLogSum",
                          "ReduceLogSumExp",
                          "LayerNormalization",
                          "Softmax",
                          "LogSoftmax",
                          "Hardmax",
                          "ArgMax",
                          "ArgMin",
                          "CumSum",
                          "TopK",
                          "LpNormalization"};

/// Rows of a constant table of weights, by indices that the network computes.
bool is_embedding(const RuleContext& context) {
  if (!context.node.is("Gather") || !context.constant(0) || context.sharded(1)) return false;
  const bool is_weight = context.graph.value(context.node.inputs[0]).type == DataType::Float32;
  const Shape table = context.in(0);
  return is_weight && table.size() == 2 && table[1] > 1 &&
         normalise_axis(context.node.int_or("axis", 0), 2) == 0;
}

/// One scale, or one an index of `axis`.
Rule quantisation_rule(const RuleContext& context) {
  const ShardAxis axis = context.axes[0];
  const Shape in = context.in(0);
  Rule rule = context.carried(axis, axis);
  for (std::size_t k = 1; k < context.inputs(); ++k) {
    if (!context.present(k) || context.in(k).size() != 1 ||
        normalise_axis(context.node.int_or("axis", 1), in.size()) != axis)
      continue;
    if (extent(context.in(k), 0) == extent(in, axis))
      rule.inputs[k] = RuleContext::mapped(0, IndexMap::identity(extent(in, axis)));
  }
  return rule;
}

Rule per_channel_rule(const RuleContext& context) {
  const Shape in = context.in(0);
  const ShardAxis axis = context.axes[0];
  const Node& node = context.node;
  const bool batch = axis == 0 && !node.is("RoiAlign") && !node.is("MaxRoiPool") && !node.is("GridSample");
  if (batch && !node.is("BatchNormalization") && !node.is("InstanceNormalization") &&
      node.outputs.size() == 1) {
    return context.carried(0, 0);
  }
  if (axis != 1) return context.replicated("works across the sharded axis");
  if (node.outputs.size() > 1) return context.replicated("has several outputs");
  const std::int64_t channels = in[1];
  Rule rule = context.carried(1, 1);
  if (node.is("BatchNormalization") || node.is("InstanceNormalization")) {
    for (std::size_t k = 1; k < context.inputs(); ++k) {
      rule.inputs[k] = RuleContext::mapped(0, IndexMap::identity(channels));
    }
  } else if (node.is("LRN")) {
    // A window over neighbouring channels: the border channels of the neighbours are needed too.
    const std::int64_t size = node.int_or("size", 1);
    std::vector<std::vector<std::int32_t>> sources(static_cast<std::size_t>(channels));
    for (std::int64_t c = 0; c < channels; ++c) {
      const std::int64_t first = std::max<std::int64_t>(0, c - (size - 1) / 2);
      const std::int64_t last = std::min(channels - 1, c + size / 2);
      for (std::int64_t s = first; s <= last; ++s) {
        sources[static_cast<std::size_t>(c)].push_back(static_cast<std::int32_t>(s));
      }
    }
    rule.inputs[0] = RuleContext::mapped(1, IndexMap::multiple(sources));
  } else if (node.is("DepthToSpace") || node.is("SpaceToDepth")) {
    const std::int64_t block = node.int_or("blocksize", 1) * node.int_or("blocksize", 1);
    const bool to_space = node.is("DepthToSpace");
    const bool column_row = node.string_or("mode", "DCR") == "CRD";
    const std::int64_t outputs = to_space ? channels / block : channels * block;
    std::vector<std::vector<std::int32_t>> sources(static_cast<std::size_t>(outputs));
    for (std::int64_t c = 0; c < outputs; ++c) {
      auto& from = sources[static_cast<std::size_t>(c)];
      if (!to_space) {
        from.push_back(static_cast<std::int32_t>(c % channels));
        continue;
      }
      for (std::int64_t b = 0; b < block; ++b) {
        from.push_back(static_cast<std::int32_t>(column_row ? c * block + b : b * outputs + c));
      }
    }
    rule.inputs[0] = RuleContext::mapped(1, IndexMap::multiple(sources));
  }
  return rule;
}

}  // namespace

Rule elementwise_rule(const RuleContext& context) {
  const Shape out = context.out();
  const auto aligned = [&](std::size_t k, ShardAxis axis) {
    return axis + static_cast<int>(out.size()) - static_cast<int>(context.in(k).size());
  };
  ShardAxis axis = kReplicate;
  std::int64_t best = -1;
  for (std::size_t k = 0; k < context.inputs(); ++k) {
    if (!context.sharded(k)) continue;
    const ShardAxis candidate = aligned(k, context.axes[k]);
    if (extent(context.in(k), context.axes[k]) != extent(out, candidate)) continue;  // broadcast along it
    if (context.in_bytes(k) > best) {
      best = context.in_bytes(k);
      axis = candidate;
    }
  }
  if (axis == kReplicate) return context.replicated();
  Rule rule = context.with_form(Form::Local, axis);
  const std::int64_t channels = extent(out, axis);
  for (std::size_t k = 0; k < context.inputs(); ++k) {
    if (!context.present(k)) continue;
    const int own = axis - (static_cast<int>(out.size()) - static_cast<int>(context.in(k).size()));
    if (own < 0 || extent(context.in(k), own) != channels) continue;  // broadcast: whole
    rule.inputs[k] = RuleContext::mapped(own, IndexMap::identity(channels));
  }
  return rule;
}

Rule split_rule(const Graph& graph, const Node& node, const std::vector<ShardAxis>& axes,
                std::optional<ShardAxis> wanted_axis) {
  const RuleContext context{graph, node, axes};
  for (std::size_t k = 0; k < context.inputs(); ++k) {
    if (context.present(k) && !graph.value(node.inputs[k]).has_shape()) {
      return context.replicated("extents depend on the data");
    }
  }
  for (const ValueId id : node.outputs) {
    if (id != kNoValue && !graph.value(id).has_shape())
      return context.replicated("extents depend on the data");
    if (id != kNoValue && element_count(graph.value(id).shape()) == 0)
      return context.replicated("the result has no elements");
  }
  if (!node.domain.empty()) return context.replicated("operator of another domain");
  const std::string_view op = node.op;
  if (kLinear.contains(op) || is_embedding(context)) return linear_rule(context, wanted_axis);

  const bool any_sharded = std::any_of(axes.begin(), axes.end(), [](ShardAxis a) { return a != kReplicate; });
  if (!any_sharded) return context.replicated();
  if (kElementwise.contains(op)) {
    return node.outputs.size() == 1 ? elementwise_rule(context) : context.replicated("has several outputs");
  }
  if (!context.sharded(0) && op != "Concat") return context.replicated("only a side input is sharded");
  if (op == "QuantizeLinear" || op == "DequantizeLinear") return quantisation_rule(context);
  if (kPerChannel.contains(op)) return per_channel_rule(context);
  if (kReshape.contains(op)) return reshape_rule(context, wanted_axis);
  if (kMovement.contains(op)) return movement_rule(context);
  if (kReduction.contains(op)) return reduction_rule(context);
  return context.replicated("no rule splits it");
}

}  // namespace disco
