#include <fmt/format.h>

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

Graph build_esrgan_discriminator(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  Map x = image_input(b, settings);
  const auto leaky = [&](const std::string& name, const Map& map) {
    return Map{b.op(name, "LeakyRelu", {map.value}, {{"alpha", kSlope}}), map.channels, map.rows,
               map.columns};
  };
  const std::int64_t widths[] = {64, 128, 256, 512, 512};
  for (int level = 0; level < 5; ++level) {
    const std::int64_t out = scaled(widths[level], settings.width);
    for (int half = 0; half < 2; ++half) {
      const auto named = [&](const char* what) { return fmt::format("{}{}_{}", what, level, half); };
      const bool first = level == 0 && half == 0;
      x = b.conv(named("conv"), x, out,
                 {.kernel = half == 0 ? 3 : 4, .stride = half == 0 ? 1 : 2, .padding = 1, .bias = first});
      if (!first) x.value = b.batch_norm(named("bn"), x.value, out);
      x = leaky(named("lrelu"), x);
    }
  }
  const std::int64_t features = x.channels * x.rows * x.columns;
  const ValueId flat = b.op("flatten", "Flatten", {x.value}, {{"axis", std::int64_t{1}}});
  const std::int64_t hidden = std::max<std::int64_t>(8, std::llround(100.0 * settings.width));
  const ValueId linear =
      b.gemm("linear1", flat, features, hidden, std::sqrt(2.0 / static_cast<double>(features)));
  const ValueId last = b.op("lrelu", "LeakyRelu", {linear}, {{"alpha", kSlope}});
  return b.finish(b.gemm("linear2", last, hidden, 1, 0.1), "realness", {{-1, "N"}, {1, {}}});
}

}  // namespace disco
