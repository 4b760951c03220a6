#include "zoo/families.h"

namespace disco {

namespace {

ValueId relu6(GraphBuilder& b, const std::string& name, ValueId x) {
  return b.op(name, "Clip", {x, b.shared_scalar("zero", 0.0F), b.shared_scalar("six", 6.0F)});
}

}  // namespace

Map conv_bn_relu6(GraphBuilder& b, const std::string& name, const Map& x, std::int64_t out,
                  const ConvOptions& options, double gain) {
  Map y = b.conv(name, x, out, options);
  y.value = relu6(b, name + ".relu6", b.batch_norm(name + ".bn", y.value, out, gain));
  return y;
}

MobileNetMaps mobilenet_trunk(GraphBuilder& b, const Map& image, const MobileNetTrunk& options) {
  // expansion, channels, repeats, stride of the first: table 2 of the paper.
  constexpr std::int64_t kBlocks[7][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                          {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  for (const auto& [name, value] : {std::pair{"zero", 0.0F}, std::pair{"six", 6.0F}})
    b.shared_scalar(name, value);
  MobileNetMaps maps;
  Map x = b.conv("features.0.conv", image, scaled(32, options.width),
                 {.kernel = 3, .stride = 2, .padding = options.pad_first ? 0 : 1});
  x.value = relu6(b, "features.0.relu6", b.batch_norm("features.0.bn", x.value, x.channels));
  maps.features.push_back(x);
  maps.expanded.push_back(x);
  int index = 1;
  std::int64_t stride_so_far = 2;
  std::int64_t dilation = 1;
  for (const auto& [expansion, channels, repeats, stage_stride] : kBlocks) {
    const std::int64_t width = scaled(channels, options.width);
    const std::int64_t first_dilation = dilation;
    std::int64_t first_stride = stage_stride;
    if (stride_so_far == options.stride) {
      dilation *= stage_stride;
      first_stride = 1;
    }
    stride_so_far *= first_stride;
    for (std::int64_t r = 0; r < repeats; ++r, ++index) {
      const std::string name = "features." + std::to_string(index);
      const std::int64_t stride = r == 0 ? first_stride : 1;
      const std::int64_t d = r == 0 ? first_dilation : dilation;
      const std::int64_t hidden = x.channels * expansion;
      Map y = x;
      if (options.pad_first) {
        y.value =
            b.op(name + ".pad", "Pad",
                 {y.value, b.ints(name + ".pads", {0, 0, d, d, 0, 0, d, d}), b.shared_scalar("zero", 0.0F)},
                 {{"mode", std::string("constant")}});
        y.rows += 2 * d;
        y.columns += 2 * d;
      }
      if (expansion != 1) y = conv_bn_relu6(b, name + ".expand", y, hidden, {});
      maps.expanded.push_back(y);
      y = conv_bn_relu6(b, name + ".depthwise", y, hidden,
                        {.kernel = 3,
                         .stride = stride,
                         .padding = options.pad_first ? 0 : d,
                         .groups = hidden,
                         .dilation = d},
                        1.4);
      const bool residual = stride == 1 && x.channels == width;
      y = b.conv(name + ".project", y, width, {});
      y.value = b.batch_norm(name + ".project.bn", y.value, width, residual ? 0.4 : 1.0);
      if (residual) y.value = b.add(name + ".add", x.value, y.value);
      x = y;
      maps.features.push_back(x);
    }
  }
  if (!options.last) return maps;
  x = b.conv("features.18.conv", x, scaled(1280, std::max(1.0, options.width)), {});
  x.value = relu6(b, "features.18.relu6", b.batch_norm("features.18.bn", x.value, x.channels));
  maps.features.push_back(x);
  return maps;
}

Graph build_mobilenet_v2(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map x = mobilenet_trunk(b, image_input(b, settings), {.width = settings.width}).features.back();
  const ValueId pooled = b.op("avgpool", "GlobalAveragePool", {x.value});
  const ValueId flat = b.op("flatten", "Flatten", {pooled}, {{"axis", std::int64_t{1}}});
  const double deviation = std::sqrt(1.0 / static_cast<double>(x.channels));
  return b.finish(b.gemm("classifier", flat, x.channels, settings.classes, deviation), "logits",
                  {{-1, "N"}, {settings.classes, {}}});
}

}  // namespace disco
