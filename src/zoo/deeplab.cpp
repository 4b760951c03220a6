#include "task/task.h"
#include "zoo/families.h"

namespace disco {

namespace {

/// Atrous spatial pyramid pooling: a pointwise branch, three dilated ones, and one over the pooled map.
Map aspp(GraphBuilder& b, const Map& x, std::int64_t out, std::int64_t stride) {
  std::vector<ValueId> branches = {conv_bn_relu(b, "aspp.convs.0", x, out, {}).value};
  const std::int64_t rate = stride == 8 ? 12 : 6;
  for (std::int64_t i = 1; i <= 3; ++i) {
    const ConvOptions atrous{.kernel = 3, .padding = i * rate, .dilation = i * rate};
    branches.push_back(conv_bn_relu(b, "aspp.convs." + std::to_string(i), x, out, atrous).value);
  }
  Map pooled = x;
  pooled.value = b.op("aspp.pool", "GlobalAveragePool", {x.value});
  pooled = conv_bn_relu(b, "aspp.convs.4", pooled, out, {});
  branches.push_back(b.resize_like("aspp.spread", pooled.value, x.value));
  const ValueId all = b.op("aspp.cat", "Concat", branches, {{"axis", std::int64_t{1}}});
  return conv_bn_relu(b, "aspp.project", {all, 5 * out, x.rows, x.columns}, out, {});
}

Graph decode(GraphBuilder& b, const Map& image, const Map& low, const Map& high, const Settings& settings) {
  const std::int64_t width = scaled(256, settings.width);
  const Map detail = conv_bn_relu(b, "project", low, scaled(48, settings.width), {});
  const Map context = aspp(b, high, width, settings.stride);
  const ValueId enlarged = b.resize_like("context.resize", context.value, detail.value);
  Map x = detail;
  x.value = b.op("cat", "Concat", {detail.value, enlarged}, {{"axis", std::int64_t{1}}});
  x.channels += width;
  x = conv_bn_relu(b, "classifier.0", x, width, {.kernel = 3, .padding = 1});
  x = b.conv("classifier.3", x, settings.classes, {.bias = true, .gain = 0.7});
  const ValueId logits = b.resize_like("logits.resize", x.value, image.value);
  b.metadata(kTaskKey, to_json(Task{.kind = TaskKind::Segmentation, .output = "logits"}));
  return b.finish(logits, "logits",
                  {{-1, "N"}, {settings.classes, {}}, {image.rows, {}}, {image.columns, {}}});
}

}  // namespace

Graph build_deeplab_resnet50(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map image = image_input(b, settings);
  const std::vector<Map> maps = resnet_trunk(b, image, {.width = settings.width, .stride = settings.stride});
  return decode(b, image, maps.front(), maps.back(), settings);
}

Graph build_deeplab_mobilenet_v2(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map image = image_input(b, settings);
  const MobileNetMaps maps = mobilenet_trunk(
      b, image, {.width = settings.width, .stride = settings.stride, .pad_first = true, .last = false});
  return decode(b, image, maps.features[3], maps.features.back(), settings);
}

}  // namespace disco
