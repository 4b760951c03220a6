// docs/operators.md says what the code does: the operators that are claimed, since which opset, and how each
// is split.

#include "../operators_page.h"

#include <gtest/gtest.h>
#include <onnx/defs/schema.h>

#include <set>

#include "block.h"
#include "graph/onnx_canonical.h"
#include "partition/partition.h"
#include "reference/evaluate.h"
#include "reference/specialise.h"

namespace disco::testing {
namespace {

constexpr int kNone = -1;

/// One operator on an input `x` that is split along an axis beside, and along one among, those that it works
/// along.
struct Sample {
  const char* op;
  int opset;
  const char* text;  ///< a model, see Block
  int beside;
  int along;
};

const std::vector<Sample> kSamples = {
    {"Conv", 13, "g (float[2,6,8,8] x, float[4,6,3,3] w) => (float[] y) { y = Conv (x, w) }", 1, 2},
    {"ConvTranspose", 13,
     "g (float[2,6,8,8] x, float[6,4,2,2] w) => (float[] y) { y = ConvTranspose (x, w) }", 1, 2},
    {"Gemm", 13, "g (float[4,6] x, float[6,3000] w) => (float[] y) { y = Gemm (x, w) }", 0, 1},
    {"MatMul", 13, "g (float[2,4,6] x, float[6,8] w) => (float[] y) { y = MatMul (x, w) }", 1, 2},
    {"Einsum", 13,
     "g (float[4,6] x, float[6,8] w) => (float[] y) { y = Einsum <equation = \"ij,jk->ik\"> (x, w) }", 0, 1},
    {"ConvInteger", 13,
     "g (uint8[2,6,8,8] x) => (int32[] y) <uint8[2,6,1,1] k = {1,1,1,1,1,1,1,1,1,1,1,1}> { y = ConvInteger "
     "(x, k) }",
     1, 2},
    {"MatMulInteger", 13,
     "g (uint8[4,3,2] x) => (int32[] y) <uint8[2,2] k = {1,2,3,4}> { y = MatMulInteger (x, k) }", 1, 2},
    {"QLinearConv", 13,
     "g (uint8[2,2,8,8] x) => (uint8[] y) <uint8[2,2,1,1] k = {1,1,1,1}, float s = {1.0}, uint8 z = {0}> { y "
     "= QLinearConv (x, s, z, k, s, z, s, z) }",
     1, 2},
    {"QLinearMatMul", 13,
     "g (uint8[4,3,2] x) => (uint8[] y) <uint8[2,2] k = {1,2,3,4}, float s = {1.0}, uint8 z = {0}> { y = "
     "QLinearMatMul (x, s, z, k, s, z, s, z) }",
     1, 2},
    {"Clip", 13, "g (float[2,6,4] x, float w1, float w2) => (float[] y) { y = Clip (x, w1, w2) }", 1, kNone},
    {"Cast", 13, "g (float[2,6,4] x) => (int32[] y) { y = Cast <to = 6> (x) }", 1, kNone},
    {"Where", 13,
     "g (float[2,6,4] x, float[6,1] w) => (float[] y) { c = Greater (x, w) y = Where (c, x, w) }", 1, kNone},
    {"Not", 13, "g (float[2,6,4] x, float w) => (bool[] y) { c = Greater (x, w) y = Not (c) }", 1, kNone},
    {"And", 13, "g (float[2,6,4] x, float w) => (bool[] y) { c = Greater (x, w) y = And (c, c) }", 1, kNone},
    {"Or", 13, "g (float[2,6,4] x, float w) => (bool[] y) { c = Greater (x, w) y = Or (c, c) }", 1, kNone},
    {"Xor", 13, "g (float[2,6,4] x, float w) => (bool[] y) { c = Greater (x, w) y = Xor (c, c) }", 1, kNone},
    {"BitShift", 13,
     "g (uint8[2,6,4] x) => (uint8[] y) <uint8 one = {1}> { y = BitShift <direction = \"LEFT\"> (x, one) }",
     1, kNone},
    {"PRelu", 13, "g (float[2,6,4] x, float[6,1] w) => (float[] y) { y = PRelu (x, w) }", 1, kNone},
    {"MaxPool", 13, "g (float[2,6,8,8] x) => (float[] y) { y = MaxPool <kernel_shape = [2, 2]> (x) }", 1, 2},
    {"AveragePool", 13, "g (float[2,6,8,8] x) => (float[] y) { y = AveragePool <kernel_shape = [2, 2]> (x) }",
     1, 2},
    {"LpPool", 13, "g (float[2,6,8,8] x) => (float[] y) { y = LpPool <kernel_shape = [2, 2]> (x) }", 1, 2},
    {"MaxUnpool", 13,
     "g (float[1,2,2,2] x) => (float[] y) <int64[1,2,2,2] at = {0,2,8,10,16,18,24,26}> { y = MaxUnpool "
     "<kernel_shape = [2, 2], strides = [2, 2]> (x, at) }",
     1, 2},
    {"BatchNormalization", 15,
     "g (float[2,6,8] x, float[6] s, float[6] b, float[6] m, float[6] v) => (float[] y) { y = "
     "BatchNormalization (x, s, b, m, v) }",
     1, 2},
    {"InstanceNormalization", 13,
     "g (float[2,6,8] x, float[6] s, float[6] b) => (float[] y) { y = InstanceNormalization (x, s, b) }", 1,
     2},
    {"LRN", 13, "g (float[2,6,8,8] x) => (float[] y) { y = LRN <size = 3> (x) }", 1, 2},
    {"DepthToSpace", 13, "g (float[2,16,4,4] x) => (float[] y) { y = DepthToSpace <blocksize = 2> (x) }", 1,
     2},
    {"SpaceToDepth", 13, "g (float[2,6,4,4] x) => (float[] y) { y = SpaceToDepth <blocksize = 2> (x) }", 1,
     2},
    {"Resize", 13,
     "g (float[2,6,4,4] x) => (float[] y) <float[4] twice = {1.0,1.0,2.0,2.0}> { y = Resize (x, , twice) }",
     1, 2},
    {"Upsample", 9,
     "g (float[2,6,4,4] x) => (float[] y) <float[4] twice = {1.0,1.0,2.0,2.0}> { y = Upsample (x, twice) }",
     1, 2},
    {"GridSample", 16, "g (float[1,6,4,4] x, float[1,2,2,2] w) => (float[] y) { y = GridSample (x, w) }", 1,
     2},
    {"RoiAlign", 13,
     "g (float[1,6,8,8] x, float[1,4] w) => (float[] y) <int64[1] image = {0}> { y = RoiAlign (x, w, image) "
     "}",
     1, 2},
    {"MaxRoiPool", 13,
     "g (float[1,6,8,8] x, float[1,5] w) => (float[] y) { y = MaxRoiPool <pooled_shape = [2, 2]> (x, w) }", 1,
     2},
    {"Reshape", 13, "g (float[2,12,5] x) => (float[] y) <int64[4] to = {2,4,3,5}> { y = Reshape (x, to) }", 1,
     kNone},
    {"Flatten", 13, "g (float[2,12,5] x) => (float[] y) { y = Flatten (x) }", 1, kNone},
    {"Squeeze", 13, "g (float[2,12,1] x) => (float[] y) <int64[1] at = {2}> { y = Squeeze (x, at) }", 1,
     kNone},
    {"Unsqueeze", 13, "g (float[2,12] x) => (float[] y) <int64[1] at = {2}> { y = Unsqueeze (x, at) }", 1,
     kNone},
    {"Transpose", 13, "g (float[2,6,4] x) => (float[] y) { y = Transpose <perm = [0, 2, 1]> (x) }", 1, kNone},
    {"Concat", 13, "g (float[2,6,4] x, float[2,6,4] w) => (float[] y) { y = Concat <axis = 2> (x, w) }", 1,
     2},
    {"Split", 13, "g (float[2,6,4] x) => (float[] y, float[] z) { y, z = Split <axis = 2> (x) }", 1, 2},
    {"Slice", 13,
     "g (float[2,6,4] x) => (float[] y) <int64[1] a = {1}, int64[1] b = {3}, int64[1] axis = {2}> { y = "
     "Slice (x, a, b, axis) }",
     1, 2},
    {"Gather", 13,
     "g (float[2,6,4] x) => (float[] y) <int64[2] at = {3,1}> { y = Gather <axis = 2> (x, at) }", 1, 2},
    {"Pad", 13, "g (float[2,6,4] x) => (float[] y) <int64[6] by = {0,0,1,0,0,1}> { y = Pad (x, by) }", 1, 2},
    {"Expand", 13, "g (float[2,6,1] x) => (float[] y) <int64[3] to = {2,6,4}> { y = Expand (x, to) }", 1, 2},
    {"Tile", 13, "g (float[2,6,4] x) => (float[] y) <int64[3] by = {1,1,2}> { y = Tile (x, by) }", 1, 2},
    {"ReduceSum", 13, "g (float[2,6,4] x) => (float[] y) <int64[1] axis = {2}> { y = ReduceSum (x, axis) }",
     1, 2},
    {"LayerNormalization", 17,
     "g (float[2,6,4] x, float[4] s) => (float[] y) { y = LayerNormalization (x, s) }", 1, 2},
    {"MeanVarianceNormalization", 13,
     "g (float[2,6,4,4] x) => (float[] y) { y = MeanVarianceNormalization (x) }", 1, 2},
    {"GroupNormalization", 21,
     "g (float[2,6,4] x, float[6] s, float[6] b) => (float[] y) { y = GroupNormalization <num_groups = 3> "
     "(x, s, b) }",
     1, kNone},
    {"RMSNormalization", 23, "g (float[2,6,4] x, float[4] s) => (float[] y) { y = RMSNormalization (x, s) }",
     1, kNone},
    {"TopK", 13, "g (float[2,6,4] x) => (float[] y, int64[] z) <int64[1] k = {2}> { y, z = TopK (x, k) }", 1,
     2},
    {"CumSum", 13, "g (float[2,6,4] x) => (float[] y) <int64 axis = {2}> { y = CumSum (x, axis) }", 1, 2},
    {"GatherElements", 13,
     "g (float[2,6] x) => (float[] y) <int64[2,2] at = {0,1,2,3}> { y = GatherElements <axis = 1> (x, at) }",
     0, 1},
    {"GatherND", 13, "g (float[2,6] x) => (float[] y) <int64[2,1] at = {0,1}> { y = GatherND (x, at) }", 1,
     0},
    {"ScatterElements", 13,
     "g (float[2,6] x, float[2,2] w) => (float[] y) <int64[2,2] at = {0,1,2,3}> { y = ScatterElements <axis "
     "= 1> (x, at, w) }",
     0, 1},
    {"Scatter", 10,
     "g (float[2,6] x, float[2,2] w) => (float[] y) <int64[2,2] at = {0,1,2,3}> { y = Scatter <axis = 1> (x, "
     "at, w) }",
     0, 1},
    {"ScatterND", 13,
     "g (float[2,6] x, float[2,6] w) => (float[] y) <int64[2,1] at = {0,1}> { y = ScatterND (x, at, w) }", 1,
     0},
    {"NonZero", 13, "g (float[2,6] x) => (int64[] y) { y = NonZero (x) }", 0, 1},
    {"Compress", 13,
     "g (float[2,6] x) => (float[] y) <bool[2] at = {1,0}> { y = Compress <axis = 0> (x, at) }", 1, 0},
    {"OneHot", 13,
     "g (int64[2,6] x) => (float[] y) <int64 depth = {4}, float[2] of = {0.0,1.0}> { y = OneHot (x, depth, "
     "of) }",
     0, 1},
    {"EyeLike", 13, "g (float[6,6] x) => (float[] y) { y = EyeLike (x) }", 0, 1},
    {"ConstantOfShape", 13, "g (int64[2] x) => (float[] y) { y = ConstantOfShape (x) }", 0, 0},
    {"Range", 13,
     "g (int64 x) => (int64[] y) <int64 zero = {0}, int64 one = {1}> { y = Range (zero, x, one) }", kNone,
     kNone},
    {"Unique", 13, "g (float[6] x) => (float[] y) { y = Unique (x) }", 0, 0},
    {"Det", 13, "g (float[2,6,6] x) => (float[] y) { y = Det (x) }", 0, 1},
    {"Trilu", 14, "g (float[6,6] x) => (float[] y) { y = Trilu (x) }", 0, 1},
    {"ReverseSequence", 13,
     "g (float[4,6] x) => (float[] y) <int64[6] n = {1,2,3,4,1,2}> { y = ReverseSequence (x, n) }", 1, 0},
    {"NonMaxSuppression", 13,
     "g (float[1,6,4] x, float[1,2,6] w) => (int64[] y) { y = NonMaxSuppression (x, w) }", 1, 2},
    {"QuantizeLinear", 13, "g (float[2,6] x) => (uint8[] y) <float s = {0.5}> { y = QuantizeLinear (x, s) }",
     0, 1},
    {"DequantizeLinear", 13,
     "g (uint8[2,6] x) => (float[] y) <float s = {0.5}> { y = DequantizeLinear (x, s) }", 0, 1},
    {"DynamicQuantizeLinear", 13,
     "g (float[2,6] x) => (uint8[] y, float[] s, uint8[] z) { y, s, z = DynamicQuantizeLinear (x) }", 0, 1},
    {"RNN", 14,
     "g (float[3,2,6] x, float[1,4,6] w, float[1,4,4] w2) => (float[] y) { y = RNN <hidden_size = 4> (x, w, "
     "w2) }",
     1, 2},
    {"GRU", 14,
     "g (float[3,2,6] x, float[1,12,6] w, float[1,12,4] w2) => (float[] y) { y = GRU <hidden_size = 4> (x, "
     "w, w2) }",
     1, 2},
    {"LSTM", 14,
     "g (float[3,2,6] x, float[1,16,6] w, float[1,16,4] w2) => (float[] y) { y = LSTM <hidden_size = 4> (x, "
     "w, w2) }",
     1, 2},
    {"If", 13,
     "g (float[2,6] x, float w) => (float[] y) { n = Shape (x) s = ReduceSum <keepdims = 0> (x) c = Greater "
     "(s, w) y = If <then_branch = a () => (float[2,6] p) { p = Relu (x) }, else_branch = b () => "
     "(float[2,6] q) { q = Neg (x) }> (c) }",
     1, kNone},
    {"Loop", 13,
     "g (float[2,6] x) => (float[] y) <int64 n = {3}, bool go = {1}> { y = Loop <body = b (int64 i, bool c, "
     "float[2,6] a) => (bool d, float[2,6] e) { d = Identity (c) e = Add (a, a) }> (n, go, x) }",
     1, kNone},
};

/// The operators of one page row whose text is the same but for the name.
const std::map<std::string, std::string> kPatterns = [] {
  std::map<std::string, std::string> patterns;
  for (const char* op :
       {"Abs",  "Neg",       "Ceil",        "Floor",    "Sqrt",     "Reciprocal", "Exp",
        "Log",  "Tanh",      "Sin",         "Cos",      "Tan",      "Asin",       "Acos",
        "Atan", "Sinh",      "Cosh",        "Asinh",    "Acosh",    "Atanh",      "Erf",
        "Sign", "IsNaN",     "IsInf",       "Round",    "Relu",     "LeakyRelu",  "Elu",
        "Selu", "Sigmoid",   "HardSigmoid", "Softplus", "Softsign", "Shrink",     "ThresholdedRelu",
        "Celu", "HardSwish", "Gelu",        "Mish",     "Swish",    "Identity",   "Dropout"}) {
    patterns[op] = "g (float[2,6,4] x) => (float[] y) {{ y = {} (x) }}";
  }
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "Equal", "Greater",
                         "Less", "GreaterOrEqual", "LessOrEqual", "CastLike"})
    patterns[op] = "g (float[2,6,4] x, float[6,1] w) => (float[] y) {{ y = {} (x, w) }}";
  patterns["Mod"] = "g (float[2,6,4] x, float[6,1] w) => (float[] y) {{ y = {} <fmod = 1> (x, w) }}";
  return patterns;
}();
const std::map<std::string, std::string> kAlongPatterns = [] {
  std::map<std::string, std::string> patterns;
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"})
    patterns[op] = "g (float[2,6,4,4] x) => (float[] y) {{ y = {} (x) }}";
  for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare",
                         "ReduceProd", "ReduceLogSum", "ReduceLogSumExp"})
    patterns[op] = "g (float[2,6,4] x) => (float[] y) {{ y = {} <axes = [2]> (x) }}";
  for (const char* op : {"Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "ArgMax", "ArgMin"})
    patterns[op] = "g (float[2,6,4] x) => (float[] y) {{ y = {} <axis = 2> (x) }}";
  return patterns;
}();

/// Operators whose extents nobody can know beforehand.
const std::set<std::string> kOpenExtents = {"NonZero",           "Compress",        "Unique",
                                            "NonMaxSuppression", "ConstantOfShape", "Range"};

/// How the sample's operators are split where its input is split along `axis`.
std::string form_of(const Sample& sample, const std::string& text, int axis) {
  const auto bytes = model_of({sample.op, sample.opset, text.c_str()});
  if (!bytes) return bytes.error().message;
  const auto model = parse_onnx(std::as_bytes(std::span(*bytes)));
  if (!model) return model.error().message;
  const auto graph = specialise(*model, {});
  if (!graph) return graph.error().message;
  Layouts layouts;
  layouts.axes.assign(graph->values.size(), kReplicate);
  layouts.axes[static_cast<std::size_t>(graph->find_value("x"))] = axis;
  std::string form = "local";
  for (const Node& node : graph->nodes) {
    for (const ValueId id : node.outputs) {
      if (!graph->value(id).has_shape() && !kOpenExtents.contains(sample.op)) return "of unknown extents";
    }
    bool reads_split = !captured_values(*graph, node).empty();
    for (const ValueId id : node.inputs)
      reads_split =
          reads_split || (id != kNoValue && layouts.axes[static_cast<std::size_t>(id)] != kReplicate);
    const Form of = add_rule(*graph, node, std::nullopt, layouts).form;
    // What only sees results that every node holds says nothing about the operator.
    if (reads_split && of != Form::Local) form = to_string(of);
  }
  return form;
}

void expect_forms(const OperatorsPage& page, const Sample& sample, const std::string& text) {
  const auto row = page.claimed.find(sample.op);
  ASSERT_NE(row, page.claimed.end()) << sample.op << " has no line";
  if (sample.beside != kNone)
    EXPECT_EQ(form_of(sample, text, sample.beside), row->second.beside) << sample.op << " beside";
  EXPECT_EQ(sample.along == kNone ? "—" : form_of(sample, text, sample.along), row->second.along)
      << sample.op << " along";
}

TEST(OperatorsPage, SaysHowEachOperatorIsSplit) {
  const OperatorsPage page = read_operators_page(DISCO_SOURCE_DIR);
  std::set<std::string> seen;
  for (const Sample& sample : kSamples) {
    expect_forms(page, sample, sample.text);
    seen.insert(sample.op);
  }
  for (const auto& [along, patterns] : {std::pair{kNone, kPatterns}, {2, kAlongPatterns}}) {
    for (const auto& [op, pattern] : patterns) {
      const int opset = op == "Gelu" || op == "Mish" ? 20 : op == "Swish" ? 24 : 15;
      expect_forms(page, {op.c_str(), opset, "", 1, along}, fmt::format(fmt::runtime(pattern), op));
      seen.insert(op);
    }
  }
  const std::set<std::string> folded = {"Shape", "Size", "Constant"};
  for (const auto& [op, row] : page.claimed)
    EXPECT_TRUE(seen.contains(op) || folded.contains(op)) << op << " is not checked here";
}

TEST(OperatorsPage, HasALineForEveryOperatorAndNoOther) {
  const OperatorsPage page = read_operators_page(DISCO_SOURCE_DIR);
  ASSERT_GT(page.claimed.size(), 100U) << "docs/operators.md could not be read";
  for (const std::string_view op : reference::supported_operators())
    EXPECT_TRUE(page.claimed.contains(std::string(op))) << op << " is computed, but has no line";
  for (const auto& [op, row] : page.claimed) {
    const bool lowered = find_older_rule(op) != nullptr || find_newer_rule(op) != nullptr;
    EXPECT_TRUE(reference::is_supported(op, "") || lowered) << op << " has a line, but nothing computes it";
    EXPECT_FALSE(page.refused.contains(op)) << op << " is claimed and refused";
  }
  for (const auto& [op, why] : page.refused) {
    EXPECT_FALSE(reference::is_supported(op, "") || find_older_rule(op) != nullptr ||
                 find_newer_rule(op) != nullptr)
        << op << " is refused, but computed";
  }
}

TEST(OperatorsPage, KnowsEveryOperatorOfOnnxAndItsFirstOpset) {
  const OperatorsPage page = read_operators_page(DISCO_SOURCE_DIR);
  std::map<std::string, int> first;
  std::map<std::string, int> deprecated;
  for (const auto& schema : onnx::OpSchemaRegistry::get_all_schemas_with_history()) {
    if (!schema.domain().empty()) continue;
    const auto [found, is_new] = first.emplace(schema.Name(), schema.SinceVersion());
    found->second = std::min(found->second, schema.SinceVersion());
    if (schema.Deprecated()) deprecated[schema.Name()] = schema.SinceVersion();
  }
  for (const auto& [op, since] : first) {
    const auto row = page.claimed.find(op);
    if (row == page.claimed.end()) {
      EXPECT_TRUE(page.refused.contains(op)) << op << " is neither claimed nor refused";
      continue;
    }
    const int last = deprecated.contains(op) ? deprecated[op] - 1 : kNewestOpset;
    EXPECT_EQ(row->second.opsets, fmt::format("{}–{}", std::max(since, kOldestOpset), last)) << op;
  }
}

}  // namespace
}  // namespace disco::testing
