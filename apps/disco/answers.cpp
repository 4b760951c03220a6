#include "answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "command.h"
#include "reference/numeric.h"

namespace disco::cli {

namespace {

using nlohmann::json;

constexpr std::size_t kFewElements = 10;  // that many are shown one by one

bool has_batch(const Tensor& tensor, std::int64_t batch) {
  return batch > 0 && tensor.rank() > 0 && tensor.shape()[0] == batch;
}

/// How many scores a sample has, where they are scores of classes: all extents but one are 1.
std::optional<std::int64_t> classes_of(const Tensor& tensor, std::int64_t batch) {
  if (tensor.rank() == 0 || tensor.elements() == 0) return {};
  const bool batched = has_batch(tensor, batch) && tensor.rank() > 1;
  if (!batched && batch > 1) return {};
  const std::int64_t count = tensor.elements() / (batched ? batch : 1);
  const auto first = tensor.shape().begin() + (batched ? 1 : 0);
  if (count < 2 || *std::max_element(first, tensor.shape().end()) != count) return {};
  return count;
}

/// Type, shape, range and mean; the elements themselves where they are few.
json summary_of(const Tensor& tensor, std::int64_t first, std::int64_t count, const Shape& shape) {
  reference::Doubles values(static_cast<std::size_t>(count));
  reference::convert(tensor, first, count, values.data());
  json result = {{"type", to_string(tensor.type())}, {"shape", shape}};
  if (values.empty()) return result;
  double sum = 0;
  for (const double value : values) sum += value;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  result["min"] = *low;
  result["max"] = *high;
  result["mean"] = sum / static_cast<double>(values.size());
  if (values.size() <= kFewElements) result["values"] = values;
  return result;
}

std::string to_text(const std::string& name, const json& summary) {
  std::string text = fmt::format("{} {} {}", name, summary["type"].get<std::string>(),
                                 to_string(summary["shape"].get<Shape>()));
  if (summary.contains("values")) {
    std::string list;
    for (const json& value : summary["values"])
      list += fmt::format("{}{:.6g}", list.empty() ? "" : ", ", value.get<double>());
    return text + ": " + list;
  }
  if (!summary.contains("min")) return text + ": no elements";
  return text + fmt::format(": from {:.6g} to {:.6g}, mean {:.6g}", summary["min"].get<double>(),
                            summary["max"].get<double>(), summary["mean"].get<double>());
}

}  // namespace

Status Answers::choose_scores(const Round& round, const NamedTensors& outputs) {
  std::string shapes;
  std::optional<std::int64_t> chosen;
  for (const std::string& name : output_names_) {
    const Tensor& tensor = outputs.at(name);
    shapes += fmt::format("{}'{}' {}", shapes.empty() ? "" : ", ", name, to_string(tensor.shape()));
    const std::optional<std::int64_t> classes = classes_of(tensor, round.batch);
    const bool suits_labels = classes && options_.labels && options_.labels->files.empty() &&
                              *classes == static_cast<std::int64_t>(options_.labels->names.size());
    // The first that could be scores, or a later one that has as many as there are names.
    if (!classes || (!scores_.empty() && !suits_labels)) continue;
    scores_ = name;
    chosen = classes;
    if (suits_labels) break;
  }
  if (scores_.empty()) {
    return error(
        ErrorCode::InvalidArgument,
        "--top needs an output with one score a class; the model's are {}; leave --top and --labels out",
        shapes);
  }
  if (options_.labels) return check_labels(*options_.labels, *chosen, options_.labels_file);
  return {};
}

Status Answers::draw(const Image& picture, Sample& sample) const {
  if (options_.picture.empty()) return {};
  std::filesystem::path path = options_.picture;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored))
    path /= std::filesystem::path(sample.file).stem().string() + ".png";
  DISCO_CHECK(write_png(path, picture));
  sample.picture = path.string();
  return {};
}

Status Answers::answer(const Feed& feed, const Round& round, const NamedTensors& outputs, std::int64_t sample,
                       const std::filesystem::path& file, Sample& to) const {
  DISCO_TRY(const Image image, read_image(file));
  DISCO_TRY(const Placement place, placement({image.height, image.width}, feed.preset(), feed.form()));
  const PixelSize size = feed.tensor_size(round);
  DISCO_TRY(const Answer read, read_answer(*options_.task, outputs, sample,
                                           std::max<std::int64_t>(1, round.batch), size.height, size.width));
  TaskAnswerOptions told;
  told.names = options_.labels ? options_.labels->names : options_.task->classes;
  told.least = options_.least;
  if (options_.top > 0) told.top = static_cast<std::size_t>(options_.top);
  to.answer = describe_answer(read, image, place, told);
  DISCO_CHECK(draw(to.answer->picture, to));
  to.answer->picture = {};  // written, and large
  return {};
}

Status Answers::add_enlarged(const std::filesystem::path& file, const Image& image, Image enlarged,
                             std::size_t tiles) {
  Sample sample;
  sample.file = file.filename().string();
  sample.answer = describe_answer(Answer(std::move(enlarged)), image, {}, {});
  if (tiles > 1) sample.answer->line += fmt::format(" in {} tiles", tiles);
  sample.answer->document["tiles"] = tiles;
  DISCO_CHECK(draw(sample.answer->picture, sample));
  sample.answer->picture = {};
  samples_.push_back(std::move(sample));
  return {};
}

Status Answers::add(const Feed& feed, const Round& round, const NamedTensors& outputs) {
  for (const std::string& name : output_names_) {
    if (!outputs.contains(name))
      return error(ErrorCode::Internal, "no node answered with the output '{}'", name);
  }
  if (options_.top > 0 && scores_.empty()) DISCO_CHECK(choose_scores(round, outputs));
  const std::int64_t count = std::max<std::int64_t>(1, round.samples);
  const bool images = !feed.images().empty();
  for (std::int64_t s = 0; s < count; ++s) {
    Sample sample;
    if (images) {
      const std::filesystem::path& path = feed.images()[samples_.size()];
      sample.file = path.filename().string();
      if (options_.task) DISCO_CHECK(answer(feed, round, outputs, s, path, sample));
      if (options_.labels) {
        const auto found = options_.labels->files.find(sample.file);
        if (found != options_.labels->files.end()) sample.right = found->second;
      }
    } else {
      sample.file = feed.source();
      sample.row = round.batch > 0 ? static_cast<std::int64_t>(samples_.size()) : -1;
    }
    for (const std::string& name : output_names_) {
      const Tensor& tensor = outputs.at(name);
      const bool batched = has_batch(tensor, round.batch);
      // What has no batch belongs to all samples; it is told once.
      if (!batched && s > 0) continue;
      const std::int64_t row = batched ? tensor.elements() / round.batch : tensor.elements();
      const Shape shape(tensor.shape().begin() + (batched ? 1 : 0), tensor.shape().end());
      sample.summary[name] = summary_of(tensor, batched ? s * row : 0, row, shape);
    }
    if (options_.top > 0) {
      const Tensor& tensor = outputs.at(scores_);
      const std::int64_t classes = classes_of(tensor, round.batch).value_or(0);
      reference::Doubles scores(static_cast<std::size_t>(classes));
      reference::convert(tensor, s * classes, classes, scores.data());
      // Five are kept in any case: accuracy among five is told too.
      sample.top = top_classes(scores, static_cast<std::size_t>(std::max(options_.top, 5)));
    }
    samples_.push_back(std::move(sample));
  }
  return options_.keep_outputs ? keep(feed, round, outputs) : Status();
}

Status Answers::keep(const Feed& feed, const Round& round, const NamedTensors& outputs) {
  for (const std::string& name : output_names_) {
    const Tensor& tensor = outputs.at(name);
    Stack& stack = stacks_[name];
    if (!feed.is_cut()) {
      stack.parts.push_back(tensor);
      continue;
    }
    const bool batched = has_batch(tensor, round.batch);
    if (stack.parts.empty()) stack.has_batch = batched;
    if (!batched && round.samples < round.batch) {
      return error(
          ErrorCode::ShapeMismatch,
          "output '{}' is {}, one for all of a batch, and the last batch is not full: choose a --batch "
          "that divides the number of samples, or leave --output out",
          name, to_string(tensor.shape()));
    }
    Tensor part = tensor;
    if (batched && round.samples < round.batch) {
      Shape shape = tensor.shape();
      shape[0] = round.samples;
      part = Tensor(tensor.type(), shape);
      std::memcpy(part.raw(), tensor.raw(), part.bytes());
    }
    const auto row = [&](const Tensor& t) {
      return Shape(t.shape().begin() + (batched ? 1 : 0), t.shape().end());
    };
    if (!stack.parts.empty() && (batched != stack.has_batch || row(part) != row(stack.parts.front()))) {
      return error(ErrorCode::ShapeMismatch,
                   "output '{}' is {} here and was {} before: they cannot be stacked into one array; run the "
                   "files one by one, or leave --output out",
                   name, to_string(part.shape()), to_string(stack.parts.front().shape()));
    }
    stack.parts.push_back(std::move(part));
  }
  return {};
}

NamedTensors Answers::outputs() const {
  NamedTensors all;
  for (const auto& [name, stack] : stacks_) {
    const Tensor& first = stack.parts.front();
    if (stack.parts.size() == 1) {
      all[name] = first;
      continue;
    }
    Shape shape = first.shape();
    if (stack.has_batch) {
      shape[0] = 0;
      for (const Tensor& part : stack.parts) shape[0] += part.shape()[0];
    } else {
      shape.insert(shape.begin(), static_cast<std::int64_t>(stack.parts.size()));
    }
    Tensor whole(first.type(), shape);
    std::size_t at = 0;
    for (const Tensor& part : stack.parts) {
      if (part.bytes() > 0) std::memcpy(whole.raw() + at, part.raw(), part.bytes());
      at += part.bytes();
    }
    all[name] = whole;
  }
  return all;
}

std::string Answers::class_name(std::int64_t index) const {
  const auto at = static_cast<std::size_t>(index);
  const bool named =
      options_.labels && at < options_.labels->names.size() && !options_.labels->names[at].empty();
  return named ? options_.labels->names[at] : fmt::format("class {}", index);
}

std::size_t Answers::known() const {
  return static_cast<std::size_t>(
      std::count_if(samples_.begin(), samples_.end(), [](const Sample& s) { return s.right.has_value(); }));
}

double Answers::accuracy(std::size_t among) const {
  std::size_t right = 0;
  for (const Sample& sample : samples_) {
    const auto end = sample.top.begin() + static_cast<std::ptrdiff_t>(std::min(among, sample.top.size()));
    if (sample.right &&
        std::any_of(sample.top.begin(), end, [&](const ClassScore& c) { return c.index == *sample.right; }))
      ++right;
  }
  return static_cast<double>(right) / static_cast<double>(known());
}

json Answers::to_json() const {
  json results = json::array();
  for (const Sample& sample : samples_) {
    json result = {{"file", sample.file}};
    if (!sample.summary.empty()) result["outputs"] = sample.summary;
    if (sample.row >= 0) result["row"] = sample.row;
    if (sample.right) result["class"] = *sample.right;
    if (sample.answer) result["answer"] = sample.answer->document;
    if (!sample.picture.empty()) result["picture"] = sample.picture;
    for (std::size_t k = 0; k < sample.top.size() && k < static_cast<std::size_t>(options_.top); ++k) {
      const ClassScore& best = sample.top[k];
      result["top"].push_back(
          {{"class", best.index}, {"name", class_name(best.index)}, {"score", best.score}});
    }
    results.push_back(std::move(result));
  }
  json document = {{"results", std::move(results)}};
  if (known() > 0)
    document["accuracy"] = {{"top1", accuracy(1)}, {"top5", accuracy(5)}, {"samples", known()}};
  return document;
}

void Answers::print() const {
  for (const Sample& sample : samples_) {
    const std::string title = sample.row >= 0 ? fmt::format("{} [{}]", sample.file, sample.row) : sample.file;
    if (sample.answer && (options_.top == 0 || samples_.size() > 1)) {
      fmt::print("{}: {}\n", title, sample.answer->line);
      for (const std::string& row : sample.answer->rows) fmt::print("  {}\n", row);
      if (!sample.picture.empty()) fmt::print("  wrote {}\n", sample.picture);
      continue;
    }
    if (options_.top == 0) {
      for (const auto& [name, summary] : sample.summary.items())
        fmt::print("{}: {}\n", title, to_text(name, summary));
      continue;
    }
    std::string line;
    for (std::size_t k = 0; k < sample.top.size() && k < static_cast<std::size_t>(options_.top); ++k) {
      const ClassScore& best = sample.top[k];
      if (samples_.size() == 1) {
        line += fmt::format("\n{:>3}  {:>9.4f}  {}", k + 1, best.score, class_name(best.index));
      } else {
        line += fmt::format("{}{} {:.2f}", line.empty() ? " " : ", ", class_name(best.index), best.score);
      }
    }
    fmt::print("{}:{}\n", title, line);
  }
  if (known() == 0 || samples_.size() == 1) return;
  fmt::print("\ntop-1 {:.1f} %, top-5 {:.1f} % of {} images", 100 * accuracy(1), 100 * accuracy(5), known());
  if (known() < samples_.size())
    fmt::print("; {} more have no class in {}", samples_.size() - known(), options_.labels_file.string());
  fmt::print("\n");
}

}  // namespace disco::cli
