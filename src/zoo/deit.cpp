#include "zoo/builder.h"
#include "zoo/families.h"

namespace disco {

namespace {

constexpr std::int64_t kLayers = 12;
constexpr std::int64_t kPatch = 16;
constexpr std::int64_t kTokens = 1 + (224 / kPatch) * (224 / kPatch);  // the class token and the patches

struct Block {
  GraphBuilder& b;
  std::int64_t width, heads;

  [[nodiscard]] ValueId norm(const std::string& name, ValueId x) const {
    const ValueId scale = b.uniform(name + ".weight", {width}, 0.8, 1.2);
    const ValueId bias = b.normal(name + ".bias", {width}, 0.05);
    return b.op(name, "LayerNormalization", {x, scale, bias},
                {{"axis", std::int64_t{-1}}, {"epsilon", 1e-6F}});
  }
  [[nodiscard]] ValueId attention(const std::string& name, ValueId x) const {
    const std::int64_t size = width / heads;
    const double deviation = std::sqrt(1.5 / static_cast<double>(width));
    ValueId qkv = b.linear(name + ".qkv", x, width, 3 * width, deviation);
    qkv =
        b.op(name + ".reshape", "Reshape", {qkv, b.ints(name + ".qkv_shape", {0, kTokens, 3, heads, size})});
    qkv = b.op(name + ".transpose", "Transpose", {qkv}, {{"perm", Ints{2, 0, 3, 1, 4}}});
    ValueId part[3];
    for (int i = 0; i < 3; ++i) {
      const ValueId index = b.ints(name + ".index" + std::to_string(i), {i});
      const ValueId taken =
          b.op(name + ".part" + std::to_string(i), "Gather", {qkv, index}, {{"axis", std::int64_t{0}}});
      part[i] = b.op(name + ".squeeze" + std::to_string(i), "Squeeze",
                     {taken, b.ints(name + ".axis" + std::to_string(i), {0})});
    }
    const ValueId keys = b.op(name + ".keys", "Transpose", {part[1]}, {{"perm", Ints{0, 1, 3, 2}}});
    ValueId scores = b.op(name + ".scores", "MatMul", {part[0], keys});
    scores = b.op(
        name + ".scale", "Mul",
        {scores, b.scalar(name + ".factor", static_cast<float>(1.0 / std::sqrt(static_cast<double>(size))))});
    scores = b.op(name + ".softmax", "Softmax", {scores}, {{"axis", std::int64_t{-1}}});
    ValueId mixed = b.op(name + ".mix", "MatMul", {scores, part[2]});
    mixed = b.op(name + ".back", "Transpose", {mixed}, {{"perm", Ints{0, 2, 1, 3}}});
    mixed = b.op(name + ".join", "Reshape", {mixed, b.ints(name + ".join_shape", {0, kTokens, width})});
    return b.linear(name + ".proj", mixed, width, width, deviation * 0.5);
  }
  [[nodiscard]] ValueId mlp(const std::string& name, ValueId x) const {
    const ValueId hidden =
        b.linear(name + ".fc1", x, width, 4 * width, std::sqrt(1.0 / static_cast<double>(width)));
    // GELU as exporters of this opset write it.
    ValueId erf = b.op(name + ".gelu.div", "Div",
                       {hidden, b.scalar(name + ".gelu.root2", std::numbers::sqrt2_v<float>)});
    erf = b.op(name + ".gelu.erf", "Erf", {erf});
    erf = b.op(name + ".gelu.add", "Add", {erf, b.scalar(name + ".gelu.one", 1.0F)});
    ValueId gelu = b.op(name + ".gelu.mul", "Mul", {hidden, erf});
    gelu = b.op(name + ".gelu.half", "Mul", {gelu, b.scalar(name + ".gelu.point5", 0.5F)});
    return b.linear(name + ".fc2", gelu, 4 * width, width, std::sqrt(0.5 / static_cast<double>(4 * width)));
  }
};

}  // namespace

Graph build_deit(int width, int heads, std::uint64_t seed) {
  GraphBuilder b(width == 192 ? "deit-tiny" : "deit-small", seed);
  const Block block{b, width, heads};
  const ValueId image = b.input("input", {{-1, "N"}, {3, {}}, {224, {}}, {224, {}}});
  ValueId x = b.conv("patch_embed", image, 3, width, {.kernel = kPatch, .stride = kPatch, .bias = true});
  x = b.op("patch_embed.flatten", "Reshape", {x, b.ints("patch_embed.shape", {0, width, kTokens - 1})});
  x = b.op("patch_embed.transpose", "Transpose", {x}, {{"perm", Ints{0, 2, 1}}});
  // The class token, once an image of the batch.
  const ValueId shape = b.op("cls_token.batch", "Slice",
                             {b.op("cls_token.shape", "Shape", {image}), b.ints("cls_token.from", {0}),
                              b.ints("cls_token.to", {1})});
  const ValueId extents = b.op("cls_token.extents", "Concat", {shape, b.ints("cls_token.rest", {1, width})},
                               {{"axis", std::int64_t{0}}});
  const ValueId token =
      b.op("cls_token.expand", "Expand", {b.normal("cls_token", {1, 1, width}, 0.5), extents});
  x = b.op("tokens", "Concat", {token, x}, {{"axis", std::int64_t{1}}});
  x = b.add("pos_embed.add", x, b.normal("pos_embed", {1, kTokens, width}, 0.3));
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string name = "blocks." + std::to_string(layer);
    x = b.add(name + ".add1", x, block.attention(name + ".attn", block.norm(name + ".norm1", x)));
    x = b.add(name + ".add2", x, block.mlp(name + ".mlp", block.norm(name + ".norm2", x)));
  }
  x = block.norm("norm", x);
  x = b.op("pool", "Gather", {x, b.ints("pool.index", {0})}, {{"axis", std::int64_t{1}}});
  x = b.op("pool.squeeze", "Squeeze", {x, b.ints("pool.axis", {1})});
  x = b.gemm("head", x, width, 1000, std::sqrt(1.0 / static_cast<double>(width)));
  return b.finish(x, "logits", {{-1, "N"}, {1000, {}}});
}

}  // namespace disco
