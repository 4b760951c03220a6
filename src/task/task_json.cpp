// A task as JSON: in a model's metadata, and in files for models that bring none.

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/file.h"
#include "task/task.h"

namespace disco {

namespace {

using nlohmann::json;

constexpr std::pair<TaskKind, const char*> kOutputKeys[] = {{TaskKind::Classification, "scores"},
                                                            {TaskKind::Detection, "scores"},
                                                            {TaskKind::Segmentation, "logits"},
                                                            {TaskKind::SuperResolution, "output"}};

const char* output_key(TaskKind kind) { return kOutputKeys[static_cast<int>(kind)].second; }

constexpr std::pair<ScoreActivation, std::string_view> kActivations[] = {
    {ScoreActivation::None, "none"},
    {ScoreActivation::Softmax, "softmax"},
    {ScoreActivation::Sigmoid, "sigmoid"}};

constexpr std::pair<BoxCode, std::string_view> kCodes[] = {
    {BoxCode::Offsets, "offsets"}, {BoxCode::Corners, "corners"}, {BoxCode::Centres, "centres"}};

/// Reads keys of an object, and remembers which ones it knew.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  [[nodiscard]] Error fault(const std::string& key, std::string_view what) const {
    return error(ErrorCode::InvalidArgument, "task{}: '{}' {}", where_, as_one_line(key), as_one_line(what));
  }
  [[nodiscard]] const json* find(const std::string& key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  Status text(const std::string& key, std::string& out) {
    const json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return fault(key, "is no text");
    out = value->get<std::string>();
    return {};
  }
  Status number(const std::string& key, double low, double high, double& out) {
    const json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number() || !std::isfinite(value->get<double>())) return fault(key, "is no number");
    out = value->get<double>();
    if (out < low || out > high) return fault(key, fmt::format("is {}, not from {} to {}", out, low, high));
    return {};
  }
  Status integer(const std::string& key, std::int64_t low, std::int64_t high, std::int64_t& out) {
    const json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number_integer()) return fault(key, "is no whole number");
    out = value->get<std::int64_t>();
    if (out < low || out > high) return fault(key, fmt::format("is {}, not from {} to {}", out, low, high));
    return {};
  }
  /// Two positive numbers.
  Status pair(const json& value, const std::string& key, double& first, double& second) const {
    const bool two = value.is_array() && value.size() == 2 && value[0].is_number() && value[1].is_number();
    if (!two) return fault(key, "is no pair of numbers [vertical, horizontal]");
    first = value[0].get<double>();
    second = value[1].get<double>();
    const bool positive = std::isfinite(first) && std::isfinite(second) && first > 0 && second > 0;
    return positive ? Status() : Status(fault(key, "has a number that is not above 0"));
  }
  [[nodiscard]] Status no_others() const {
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) return fault(key, "is no key of it; see docs/tasks.md");
    }
    return {};
  }

 private:
  const json& object_;
  std::string where_;
  std::set<std::string> known_;
};

constexpr int kMostCells = 1 << 12;

Result<PriorMap> prior_map(const json& object, std::size_t number) {
  const std::string where = fmt::format(", map {} of its priors", number);
  if (!object.is_object()) return error(ErrorCode::InvalidArgument, "task{}: is no object", where);
  Reader reader(object, where);
  PriorMap map;
  const json* cells = reader.find("map");
  if (cells == nullptr) return reader.fault("map", "is missing: [rows, columns]");
  double rows = 0, columns = 0;
  DISCO_CHECK(reader.pair(*cells, "map", rows, columns));
  if (std::max(rows, columns) > kMostCells || rows != std::floor(rows) || columns != std::floor(columns))
    return reader.fault("map", fmt::format("is not two whole numbers up to {}", kMostCells));
  map.rows = static_cast<int>(rows);
  map.columns = static_cast<int>(columns);
  map.step_y = 1.0 / rows;
  map.step_x = 1.0 / columns;
  if (const json* step = reader.find("step")) DISCO_CHECK(reader.pair(*step, "step", map.step_y, map.step_x));
  const json* boxes = reader.find("boxes");
  if (boxes == nullptr || !boxes->is_array() || boxes->empty())
    return reader.fault("boxes", "is no list of sizes [height, width]");
  for (const json& box : *boxes) {
    PriorSize size;
    DISCO_CHECK(reader.pair(box, "boxes", size.height, size.width));
    map.boxes.push_back(size);
  }
  DISCO_CHECK(reader.no_others());
  return map;
}

Status read_head(Reader& reader, Task& task) {
  DetectorHead head;
  DISCO_CHECK(reader.text("boxes", task.boxes));
  if (task.boxes.empty()) return reader.fault("boxes", "is missing: the output with offsets of boxes");
  DISCO_CHECK(reader.integer("background", -1, 1 << 20, head.background));
  std::string activation = "softmax";
  DISCO_CHECK(reader.text("activation", activation));
  const auto* known = std::find_if(std::begin(kActivations), std::end(kActivations),
                                   [&](const auto& entry) { return entry.second == activation; });
  if (known == std::end(kActivations))
    return reader.fault("activation", fmt::format("is '{}'; there are none, softmax, sigmoid", activation));
  head.activation = known->first;
  std::string code = "offsets";
  DISCO_CHECK(reader.text("code", code));
  const auto* coded = std::find_if(std::begin(kCodes), std::end(kCodes),
                                   [&](const auto& entry) { return entry.second == code; });
  if (coded == std::end(kCodes))
    return reader.fault("code", fmt::format("is '{}'; there are offsets, corners, centres", code));
  head.code = coded->first;
  if (const json* variances = reader.find("variances"))
    DISCO_CHECK(reader.pair(*variances, "variances", head.centre_variance, head.size_variance));
  DISCO_CHECK(reader.number("least_score", 0, 1, head.least_score));
  DISCO_CHECK(reader.number("overlap", 0, 1, head.overlap));
  DISCO_CHECK(reader.integer("most", 1, 1 << 20, head.most));
  const json* priors = reader.find("priors");
  const bool listed = priors != nullptr && priors->is_array() && !priors->empty();
  if (head.code != BoxCode::Offsets && priors != nullptr)
    return reader.fault("priors", fmt::format("are for offsets, not for {}", code));
  if (head.code == BoxCode::Offsets && !listed) return reader.fault("priors", "is no list of feature maps");
  for (std::size_t m = 0; listed && m < priors->size(); ++m) {
    DISCO_TRY(PriorMap map, prior_map((*priors)[m], m));
    head.priors.push_back(std::move(map));
  }
  task.head = std::move(head);
  return {};
}

}  // namespace

std::string to_json(const Task& task) {
  json object = {{"version", 1}, {"task", to_string(task.kind)}};
  if (!task.output.empty()) object[output_key(task.kind)] = task.output;
  if (!task.classes.empty()) object["classes"] = task.classes;
  if (task.kind == TaskKind::SuperResolution) {
    object["scale"] = task.scale;
    if (task.pixels.white != 1.0) object["white"] = task.pixels.white;
    if (task.pixels.bgr) object["channels"] = "bgr";
  }
  if (!task.head) return object.dump();
  const DetectorHead& head = *task.head;
  object["boxes"] = task.boxes;
  object["background"] = head.background;
  for (const auto& [activation, name] : kActivations) {
    if (activation == head.activation) object["activation"] = name;
  }
  for (const auto& [code, name] : kCodes) {
    if (code == head.code && code != BoxCode::Offsets) object["code"] = name;
  }
  object["variances"] = {head.centre_variance, head.size_variance};
  object["least_score"] = head.least_score;
  object["overlap"] = head.overlap;
  object["most"] = head.most;
  for (const PriorMap& map : head.priors) {
    json entry = {{"map", {map.rows, map.columns}}, {"step", {map.step_y, map.step_x}}};
    for (const PriorSize& size : map.boxes) entry["boxes"].push_back({size.height, size.width});
    object["priors"].push_back(std::move(entry));
  }
  return object.dump();
}

Result<Task> task_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return error(ErrorCode::InvalidArgument, "task: is no JSON object");
  Reader reader(object, "");
  std::int64_t version = 1;
  DISCO_CHECK(reader.integer("version", 1, 1, version));
  std::string kind;
  DISCO_CHECK(reader.text("task", kind));
  Task task;
  const auto* known = std::find_if(std::begin(kOutputKeys), std::end(kOutputKeys),
                                   [&](const auto& entry) { return to_string(entry.first) == kind; });
  if (known == std::end(kOutputKeys)) {
    return reader.fault("task", fmt::format("is '{}'; there are classification, detection, segmentation, "
                                            "super-resolution",
                                            kind));
  }
  task.kind = known->first;
  DISCO_CHECK(reader.text(output_key(task.kind), task.output));
  if (const json* classes = reader.find("classes")) {
    const auto is_text = [](const json& name) { return name.is_string(); };
    if (!classes->is_array() || !std::all_of(classes->begin(), classes->end(), is_text))
      return reader.fault("classes", "is no list of names");
    task.classes = classes->get<std::vector<std::string>>();
  }
  if (task.kind == TaskKind::Detection) DISCO_CHECK(read_head(reader, task));
  if (task.kind == TaskKind::SuperResolution) {
    std::int64_t scale = 0;
    DISCO_CHECK(reader.integer("scale", 1, 64, scale));
    if (scale == 0) return reader.fault("scale", "is missing: how many times larger the answer is");
    task.scale = static_cast<int>(scale);
    DISCO_CHECK(reader.number("white", 1e-3, 1e6, task.pixels.white));
    std::string channels = "rgb";
    DISCO_CHECK(reader.text("channels", channels));
    if (channels != "rgb" && channels != "bgr")
      return reader.fault("channels", fmt::format("is '{}', not rgb or bgr", channels));
    task.pixels.bgr = channels == "bgr";
  }
  DISCO_CHECK(reader.no_others());
  return task;
}

Result<Task> load_task(const std::filesystem::path& path) {
  DISCO_TRY(const std::vector<std::byte> bytes, read_file(path));
  auto task = task_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!task) return in_context(path.string(), task.error());
  return task;
}

}  // namespace disco
