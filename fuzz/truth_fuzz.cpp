// Any bytes as what people write down about models and pictures: a task, COCO's instances, a picture's
// annotation in VOC's layout. The first byte says which.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

#include "data/object_set.h"
#include "task/task.h"

namespace {

namespace fs = std::filesystem;

template <typename T>
void expect_line(const disco::Result<T>& result) {
  if (!result && (result.error().message.empty() || result.error().message.find('\n') != std::string::npos))
    std::abort();
}

/// A folder in VOC's layout with one picture, whose annotation is written anew each time.
class VocFolder {
 public:
  VocFolder() {
    std::string name = (fs::temp_directory_path() / "disco-fuzz-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
    fs::create_directories(path_ / "Annotations");
    fs::create_directories(path_ / "JPEGImages");
    std::ofstream(path_ / "JPEGImages" / "a.jpg") << "no picture is read";
  }
  ~VocFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  VocFolder(const VocFolder&) = delete;
  VocFolder& operator=(const VocFolder&) = delete;
  const fs::path& with(std::string_view annotation) const {
    std::ofstream(path_ / "Annotations" / "a.xml", std::ios::binary) << annotation;
    return path_;
  }

 private:
  fs::path path_;
};

void try_task(std::string_view text) {
  using namespace disco;
  const auto task = task_from_json(text);
  expect_line(task);
  if (!task) return;
  // What was read can be written, and says the same again.
  const auto again = task_from_json(to_json(*task));
  if (!again || to_json(*again) != to_json(*task)) std::abort();
}

void try_coco(std::string_view text) {
  static const int file = memfd_create("fuzzed", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    std::abort();
  expect_line(disco::sources::read_coco(path, "test"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace disco;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0: try_task(text); break;
    case 1: try_coco(text); break;
    default: {
      static const VocFolder folder;
      expect_line(sources::read_voc(folder.with(text), "test", {"dog", "cat"}));
    }
  }
  return 0;
}
