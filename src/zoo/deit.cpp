#include "zoo/builder.h"
#include "zoo/families.h"

namespace disco {

namespace {

struct Block {
  GraphBuilder& b;
  std::int64_t width, heads, tokens;

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
    qkv = b.op(name + ".reshape", "Reshape", {qkv, b.ints(name + ".qkv_shape", {0, tokens, 3, heads, size})});
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
    mixed = b.op(name + ".join", "Reshape", {mixed, b.ints(name + ".join_shape", {0, tokens, width})});
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

Graph build_deit(int channels, int heads, bool distilled, const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  // Heads keep their number: they are what nodes share.
  const std::int64_t width =
      heads * std::max<std::int64_t>(1, std::llround(settings.width * channels / heads));
  const std::int64_t patch = settings.patch;
  const std::int64_t patches = (settings.rows / patch) * (settings.columns / patch);
  const std::int64_t tokens = patches + (distilled ? 2 : 1);
  const Block block{b, width, heads, tokens};
  const Map image = image_input(b, settings);
  ValueId x = b.conv("patch_embed", image.value, 3, width, {.kernel = patch, .stride = patch, .bias = true});
  x = b.op("patch_embed.flatten", "Reshape", {x, b.ints("patch_embed.shape", {0, width, patches})});
  x = b.op("patch_embed.transpose", "Transpose", {x}, {{"perm", Ints{0, 2, 1}}});
  // A token, once an image of the batch.
  const auto expanded = [&](const std::string& name) {
    const ValueId shape = b.op(name + ".batch", "Slice",
                               {b.op(name + ".shape", "Shape", {image.value}), b.ints(name + ".from", {0}),
                                b.ints(name + ".to", {1})});
    const ValueId extents = b.op(name + ".extents", "Concat", {shape, b.ints(name + ".rest", {1, width})},
                                 {{"axis", std::int64_t{0}}});
    return b.op(name + ".expand", "Expand", {b.normal(name, {1, 1, width}, 0.5), extents});
  };
  std::vector<ValueId> rows = {expanded("cls_token")};
  if (distilled) rows.push_back(expanded("dist_token"));
  rows.push_back(x);
  x = b.op("tokens", "Concat", rows, {{"axis", std::int64_t{1}}});
  x = b.add("pos_embed.add", x, b.normal("pos_embed", {1, tokens, width}, 0.3));
  for (std::int64_t layer = 0; layer < settings.blocks; ++layer) {
    const std::string name = "blocks." + std::to_string(layer);
    x = b.add(name + ".add1", x, block.attention(name + ".attn", block.norm(name + ".norm1", x)));
    x = b.add(name + ".add2", x, block.mlp(name + ".mlp", block.norm(name + ".norm2", x)));
  }
  x = block.norm("norm", x);
  const auto head = [&](const std::string& pool, const std::string& name, std::int64_t token) {
    const ValueId taken =
        b.op(pool, "Gather", {x, b.ints(pool + ".index", {token})}, {{"axis", std::int64_t{1}}});
    const ValueId row = b.op(pool + ".squeeze", "Squeeze", {taken, b.ints(pool + ".axis", {1})});
    return b.gemm(name, row, width, settings.classes, std::sqrt(1.0 / static_cast<double>(width)));
  };
  ValueId logits = head("pool", "head", 0);
  if (distilled) {
    logits =
        b.op("heads.mean", "Div",
             {b.add("heads.sum", logits, head("pool_dist", "head_dist", 1)), b.scalar("heads.count", 2.0F)});
  }
  return b.finish(logits, "logits", {{-1, "N"}, {settings.classes, {}}});
}

}  // namespace disco
