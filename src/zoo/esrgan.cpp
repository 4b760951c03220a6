#include "task/task.h"
#include "zoo/families.h"

namespace disco {

namespace {

constexpr float kSlope = 0.2F;
constexpr float kResidual = 0.2F;

struct Features {
  GraphBuilder& b;
  std::int64_t width, growth;

  [[nodiscard]] ValueId conv(const std::string& name, ValueId x, std::int64_t in, std::int64_t out,
                             double gain = 1.0) const {
    return b.conv(name, x, in, out, {.kernel = 3, .padding = 1, .bias = true, .gain = gain});
  }
  [[nodiscard]] ValueId leaky(const std::string& name, ValueId x) const {
    return b.op(name, "LeakyRelu", {x}, {{"alpha", kSlope}});
  }
  /// x + 0.2 * branch.
  [[nodiscard]] ValueId residual(const std::string& name, ValueId x, ValueId branch) const {
    return b.add(name + ".add",
                 b.op(name + ".scaled", "Mul", {branch, b.shared_scalar("residual_scale", kResidual)}), x);
  }
  [[nodiscard]] ValueId dense_block(const std::string& name, ValueId x) const {
    std::vector<ValueId> parts = {x};
    std::int64_t channels = width;
    for (int layer = 1; layer <= 5; ++layer) {
      const std::string conv_name = name + ".conv" + std::to_string(layer);
      const ValueId input = parts.size() == 1 ? x
                                              : b.op(name + ".cat" + std::to_string(layer), "Concat", parts,
                                                     {{"axis", std::int64_t{1}}});
      if (layer == 5) return residual(name, x, conv(conv_name, input, channels, width));
      parts.push_back(
          leaky(name + ".lrelu" + std::to_string(layer), conv(conv_name, input, channels, growth)));
      channels += growth;
    }
    return x;
  }
  [[nodiscard]] ValueId twice(const std::string& name, ValueId x) const {
    const ValueId scales = b.constant(name + ".scales", Tensor::of<float>({4}, {1.0F, 1.0F, 2.0F, 2.0F}));
    return b.op(name, "Resize", {x, kNoValue, scales},
                {{"mode", std::string("nearest")},
                 {"nearest_mode", std::string("floor")},
                 {"coordinate_transformation_mode", std::string("asymmetric")}});
  }
};

}  // namespace

Graph build_esrgan(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Features f{b, scaled(64, settings.width), scaled(32, settings.width)};
  const Map image = image_input(b, settings);
  ValueId x = f.conv("conv_first", image.value, 3, f.width);
  ValueId trunk = x;
  for (std::int64_t block = 0; block < settings.blocks; ++block) {
    const std::string name = "RRDB_trunk." + std::to_string(block);
    ValueId y = trunk;
    for (int dense = 1; dense <= 3; ++dense) y = f.dense_block(name + ".RDB" + std::to_string(dense), y);
    trunk = f.residual(name, trunk, y);
  }
  // A residual block scales what it is given by about 1.2, which the end of the trunk takes back.
  const double gain = 0.3 * std::pow(1.2, -static_cast<double>(settings.blocks));
  x = b.add("trunk_add", x, f.conv("trunk_conv", trunk, f.width, f.width, gain));
  x = f.leaky("lrelu1", f.conv("upconv1", f.twice("up1", x), f.width, f.width));
  x = f.leaky("lrelu2", f.conv("upconv2", f.twice("up2", x), f.width, f.width));
  x = f.leaky("lrelu3", f.conv("HRconv", x, f.width, f.width));
  x = f.conv("conv_last", x, f.width, 3, 0.5);
  b.metadata(kTaskKey, to_json(Task{.kind = TaskKind::SuperResolution, .output = "output", .scale = 4}));
  const auto larger = [](std::int64_t pixels, const char* symbol) {
    return pixels > 0 ? Dimension{4 * pixels, {}} : Dimension{-1, symbol};
  };
  return b.finish(x, "output", {{-1, "N"}, {3, {}}, larger(image.rows, "4H"), larger(image.columns, "4W")});
}

}  // namespace disco
