#include "zoo/zoo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "zoo/families.h"

namespace disco {

namespace {

struct Entry {
  std::string_view name, what;
  Settings defaults;
  std::vector<std::string_view> settings;
  std::int64_t least = 1;  ///< pixels a side
  std::function<Graph(const Settings&)> build;
};

Settings square(std::int64_t pixels, std::int64_t classes) {
  return {.rows = pixels, .columns = pixels, .classes = classes};
}

std::vector<Entry> make_entries() {
  std::vector<Entry> entries;
  const std::vector<std::string_view> classifier = {"size", "width", "classes"};
  const std::vector<std::string_view> transformer = {"size", "width", "classes", "blocks", "patch"};
  const std::vector<std::string_view> strided = {"size", "width", "classes", "stride"};
  const auto add = [&](std::string_view name, std::string_view what, Settings defaults,
                       const std::vector<std::string_view>& settings, std::int64_t least, auto build) {
    entries.push_back({name, what, std::move(defaults), settings, least, build});
  };
  const auto add_deit = [&](std::string_view name, std::string_view what, int channels, int heads,
                            bool distilled) {
    Settings defaults = square(224, 1000);
    defaults.blocks = 12;
    defaults.patch = 16;
    add(name, what, defaults, transformer, 1,
        [=](const Settings& s) { return build_deit(channels, heads, distilled, s); });
  };
  add("resnet18", "classifier", square(224, 1000), classifier, 16,
      [](const Settings& s) { return build_resnet(18, s); });
  add("resnet50", "classifier", square(224, 1000), classifier, 16,
      [](const Settings& s) { return build_resnet(50, s); });
  add("mobilenetv2", "classifier", square(224, 1000), classifier, 16, build_mobilenet_v2);
  add_deit("deit-tiny", "transformer", 192, 3, false);
  add_deit("deit-small", "transformer", 384, 6, false);
  add_deit("deit-base", "transformer", 768, 12, false);
  add_deit("deit-tiny-distilled", "transformer and dist. token", 192, 3, true);
  add_deit("deit-small-distilled", "transformer and dist. token", 384, 6, true);
  add_deit("deit-base-distilled", "transformer and dist. token", 768, 12, true);
  Settings defaults = square(300, 80);
  add("ssd300-resnet50", "detector", defaults, {"size", "width", "classes"}, 64, build_ssd_resnet50);
  defaults = square(300, 20);
  defaults.stride = 16;
  add("ssd300-mobilenetv2", "detector, separable heads", defaults, strided, 64, build_ssd_mobilenet_v2);
  defaults = square(513, 21);
  defaults.stride = 16;
  add("deeplabv3plus-resnet50", "segmenter", defaults, strided, 33, build_deeplab_resnet50);
  add("deeplabv3plus-mobilenetv2", "segmenter", defaults, strided, 33, build_deeplab_mobilenet_v2);
  add("esrgan", "super-resolution by 4", {.blocks = 23}, {"size", "width", "blocks"}, 1, build_esrgan);
  add("esrgan-small", "super-resolution by 4, smaller", {.width = 0.5, .blocks = 4},
      {"size", "width", "blocks"}, 1, build_esrgan);
  defaults = {};
  defaults.rows = defaults.columns = 128;
  add("esrgan-discriminator", "ESRGAN's adversary in training", defaults, {"size", "width"}, 32,
      build_esrgan_discriminator);
  for (const auto& [name, depth] :
       {std::pair{"cifar-resnet8", 8}, std::pair{"cifar-resnet20", 20}, std::pair{"cifar-resnet56", 56}}) {
    add(name, "classifier of CIFAR images", square(32, 10), classifier, 4,
        [depth](const Settings& s) { return build_cifar_resnet(depth, s); });
  }
  return entries;
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = make_entries();
  return all;
}

/// The settings that were given, by name and as text.
std::vector<std::pair<std::string_view, std::string>> given(const ZooOptions& options) {
  std::vector<std::pair<std::string_view, std::string>> all;
  if (options.size) all.emplace_back("size", fmt::format("{}x{}", options.size->rows, options.size->columns));
  if (options.width) all.emplace_back("width", fmt::format("{}", *options.width));
  const auto add = [&](std::string_view name, const std::optional<std::int64_t>& value) {
    if (value) all.emplace_back(name, fmt::format("{}", *value));
  };
  add("classes", options.classes);
  add("blocks", options.blocks);
  add("patch", options.patch);
  add("stride", options.stride);
  return all;
}

Status check_range(std::string_view name, std::string_view setting, std::int64_t value, std::int64_t least,
                   std::int64_t most) {
  if (value >= least && value <= most) return {};
  return error(ErrorCode::InvalidArgument, "{}: --{} {} is not between {} and {}", name, setting, value,
               least, most);
}

constexpr std::int64_t kMostPixels = 8192;

Status check(const Entry& entry, const Settings& settings, const ZooOptions& options) {
  const auto has = [&](std::string_view setting) {
    return std::ranges::find(entry.settings, setting) != entry.settings.end();
  };
  if (options.size) {
    DISCO_CHECK(check_range(entry.name, "size", settings.rows, entry.least, kMostPixels));
    DISCO_CHECK(check_range(entry.name, "size", settings.columns, entry.least, kMostPixels));
  }
  if (!(settings.width > 0.0 && settings.width <= 4.0)) {
    return error(ErrorCode::InvalidArgument, "{}: --width {} is not above 0 and at most 4", entry.name,
                 settings.width);
  }
  if (has("classes")) DISCO_CHECK(check_range(entry.name, "classes", settings.classes, 1, 100'000));
  if (has("blocks")) DISCO_CHECK(check_range(entry.name, "blocks", settings.blocks, 1, 200));
  if (has("patch")) {
    DISCO_CHECK(check_range(entry.name, "patch", settings.patch, 1, kMostPixels));
    if (settings.rows % settings.patch != 0 || settings.columns % settings.patch != 0) {
      return error(ErrorCode::InvalidArgument,
                   "{}: {}x{} pixels cannot be cut into patches of {}; give --patch", entry.name,
                   settings.rows, settings.columns, settings.patch);
    }
  }
  if (has("stride") && settings.stride != 8 && settings.stride != 16) {
    return error(ErrorCode::InvalidArgument, "{}: --stride {} is neither 8 nor 16", entry.name,
                 settings.stride);
  }
  return {};
}

}  // namespace

const std::vector<ZooEntry>& zoo_entries() {
  static const std::vector<ZooEntry> all = [] {
    std::vector<ZooEntry> list;
    for (const Entry& entry : entries()) list.push_back({entry.name, entry.what, entry.settings});
    return list;
  }();
  return all;
}

std::vector<std::string_view> zoo_names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : entries()) names.push_back(entry.name);
  return names;
}

Result<ImageSize> parse_image_size(std::string_view text) {
  ImageSize size;
  const char* end = text.data() + text.size();
  auto [rest, failed] = std::from_chars(text.data(), end, size.rows);
  size.columns = size.rows;
  if (failed == std::errc{} && rest != end && *rest == 'x') {
    const auto second = std::from_chars(rest + 1, end, size.columns);
    rest = second.ptr;
    failed = second.ec;
  }
  if (failed != std::errc{} || rest != end || size.rows < 1 || size.columns < 1) {
    return error(ErrorCode::InvalidArgument,
                 "'{}' is no size: give pixels, as in 96, or rows and columns, as in 120x160", text);
  }
  return size;
}

Result<Graph> zoo(std::string_view name, const ZooOptions& options) {
  const auto found = std::ranges::find(entries(), name, &Entry::name);
  if (found == entries().end()) {
    return error(ErrorCode::InvalidArgument, "the zoo has no '{}'; it has {}", name,
                 fmt::join(zoo_names(), ", "));
  }
  for (const auto& [setting, value] : given(options)) {
    if (std::ranges::find(found->settings, setting) == found->settings.end()) {
      return error(ErrorCode::InvalidArgument, "{} has no --{}; it has {} and seed", name, setting,
                   fmt::join(found->settings, ", "));
    }
  }
  Settings settings = found->defaults;
  settings.name = std::string(name);
  settings.seed = options.seed;
  if (options.size) {
    settings.rows = options.size->rows;
    settings.columns = options.size->columns;
  }
  settings.width = options.width.value_or(settings.width);
  settings.classes = options.classes.value_or(settings.classes);
  settings.blocks = options.blocks.value_or(settings.blocks);
  settings.patch = options.patch.value_or(settings.patch);
  settings.stride = options.stride.value_or(settings.stride);
  DISCO_CHECK(check(*found, settings, options));
  return found->build(settings);
}

}  // namespace disco
