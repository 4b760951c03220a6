#include "task/task.h"
#include "zoo/families.h"

namespace disco {

namespace {

/// One map that heads look at.
struct Source {
  Map map;
  double stride = 0;        ///< pixels between its centres; 0: they divide the image evenly
  std::vector<int> ratios;  ///< beside 1
};

/// `count` + 1 sides as shares of the image's shorter side: equal steps from `least` to `most` and one
/// beyond. `finest` goes before them where it is given.
std::vector<double> scales(std::size_t count, double least, double most, std::optional<double> finest) {
  std::vector<double> sides;
  if (finest) sides.push_back(*finest);
  const std::size_t steps = count - sides.size();
  const double step = (most - least) / static_cast<double>(std::max<std::size_t>(1, steps - 1));
  for (std::size_t i = 0; i <= steps; ++i) sides.push_back(least + step * static_cast<double>(i));
  return sides;
}

/// The paper's boxes: a square, one of the geometric mean with the next side, and a pair for each ratio.
PriorMap priors_of(const Source& source, double side, double next, const Map& image) {
  const auto rows = static_cast<double>(image.rows);
  const auto columns = static_cast<double>(image.columns);
  const double shorter = std::min(rows, columns);
  PriorMap prior;
  prior.rows = static_cast<int>(source.map.rows);
  prior.columns = static_cast<int>(source.map.columns);
  prior.step_y = source.stride > 0 ? source.stride / rows : 1.0 / prior.rows;
  prior.step_x = source.stride > 0 ? source.stride / columns : 1.0 / prior.columns;
  const auto add = [&](double width, double height) {
    prior.boxes.push_back({std::min(1.0, height * shorter / rows), std::min(1.0, width * shorter / columns)});
  };
  add(side, side);
  add(std::sqrt(side * next), std::sqrt(side * next));
  for (const int ratio : source.ratios) {
    const double root = std::sqrt(static_cast<double>(ratio));
    add(side * root, side / root);
    add(side / root, side * root);
  }
  return prior;
}

enum class Head { Full, Separable };

/// What one head says of one map, as [N, priors, values].
ValueId answers(GraphBuilder& b, const std::string& name, const Source& source, std::int64_t values,
                std::int64_t boxes, Head head) {
  const bool point = source.map.rows == 1 && source.map.columns == 1;
  Map x = source.map;
  ConvOptions last{.kernel = 3, .padding = 1, .bias = true, .gain = 0.5};
  if (head == Head::Separable) {
    last.kernel = 1;
    last.padding = 0;
    if (!point)
      x = conv_bn_relu6(b, name + ".depthwise", x, x.channels,
                        {.kernel = 3, .padding = 1, .groups = x.channels, .bias = true}, 1.4);
  }
  x = b.conv(name, x, boxes * values, last);
  const ValueId moved = b.op(name + ".permute", "Transpose", {x.value}, {{"perm", Ints{0, 2, 3, 1}}});
  return b.op(name + ".view", "Reshape", {moved, b.ints(name + ".shape", {0, -1, values})});
}

Graph finish(GraphBuilder& b, const Map& image, const std::vector<Source>& sources,
             const std::vector<double>& sides, const Settings& settings, Head head) {
  Task task{.kind = TaskKind::Detection, .output = "scores", .boxes = "boxes", .head = DetectorHead{}};
  std::vector<ValueId> scores, boxes;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    task.head->priors.push_back(priors_of(sources[i], sides[i], sides[i + 1], image));
    const auto count = static_cast<std::int64_t>(task.head->priors.back().boxes.size());
    const std::string number = std::to_string(i);
    boxes.push_back(answers(b, "loc." + number, sources[i], 4, count, head));
    scores.push_back(answers(b, "conf." + number, sources[i], settings.classes + 1, count, head));
  }
  const std::int64_t count = task.head->prior_count();
  b.metadata(kTaskKey, to_json(task));
  b.output(b.op("scores.cat", "Concat", scores, {{"axis", std::int64_t{1}}}), "scores",
           {{-1, "N"}, {count, {}}, {settings.classes + 1, {}}});
  return b.finish(b.op("boxes.cat", "Concat", boxes, {{"axis", std::int64_t{1}}}), "boxes",
                  {{-1, "N"}, {count, {}}, {4, {}}});
}

bool is_point(const Map& map) { return map.rows == 1 && map.columns == 1; }

}  // namespace

Graph build_ssd_resnet50(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map image = image_input(b, settings);
  Map x = resnet_trunk(b, image, {.width = settings.width, .stages = 3, .stride = 8, .dilate = false}).back();
  std::vector<Source> sources = {{x, 8.0, {2}}};
  constexpr std::int64_t kExtra[5][2] = {{256, 512}, {256, 512}, {128, 256}, {128, 256}, {128, 256}};
  for (int i = 0; i < 5 && !is_point(x); ++i) {
    const std::string name = "additional_blocks." + std::to_string(i);
    // The last two shrink by their kernel where the map still has room for it.
    const bool strided = i < 3 || std::min(x.rows, x.columns) < 3;
    x = conv_bn_relu(b, name + ".0", x, scaled(kExtra[i][0], settings.width), {});
    x = conv_bn_relu(b, name + ".3", x, scaled(kExtra[i][1], settings.width),
                     {.kernel = 3, .stride = strided ? 2 : 1, .padding = strided ? 1 : 0});
    sources.push_back({x, i < 3 ? static_cast<double>(16 << i) : 0.0,
                       i < 3 ? std::vector<int>{2, 3} : std::vector<int>{2}});
  }
  return finish(b, image, sources, scales(sources.size(), 0.15, 0.87, 0.07), settings, Head::Full);
}

Graph build_ssd_mobilenet_v2(const Settings& settings) {
  GraphBuilder b(settings.name, settings.seed);
  const Map image = image_input(b, settings);
  const MobileNetMaps maps = mobilenet_trunk(b, image, {.width = settings.width});
  std::vector<Source> sources;
  const bool fine = settings.stride == 8;
  if (fine) sources.push_back({maps.expanded[7], 8.0, {2, 3}});
  sources.push_back({maps.expanded[14], 16.0, {2, 3}});
  Map x = maps.features.back();
  sources.push_back({x, 32.0, {2, 3}});
  // channels, and those between them as a share of what comes in
  constexpr std::pair<std::int64_t, double> kExtra[4] = {{512, 0.2}, {256, 0.25}, {256, 0.5}, {64, 0.25}};
  for (int i = 0; i < 4 && !is_point(x); ++i) {
    const std::string name = "extras." + std::to_string(i);
    const auto hidden = std::llround(static_cast<double>(x.channels) * kExtra[i].second);
    x = conv_bn_relu6(b, name + ".expand", x, hidden, {});
    x = conv_bn_relu6(b, name + ".depthwise", x, hidden,
                      {.kernel = 3, .stride = 2, .padding = 1, .groups = hidden}, 1.4);
    x = b.conv(name + ".project", x, scaled(kExtra[i].first, settings.width), {});
    x.value = b.batch_norm(name + ".project.bn", x.value, x.channels);
    sources.push_back({x, i == 0 ? 64.0 : 0.0, {2, 3}});
  }
  const std::optional<double> finest = fine ? std::optional(0.07) : std::nullopt;
  return finish(b, image, sources, scales(sources.size(), 0.2, 0.95, finest), settings, Head::Separable);
}

}  // namespace disco
