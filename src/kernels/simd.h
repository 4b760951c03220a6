#pragma once
// How our own loops use the machine: vectors as wide as it has, and its threads.

#include <omp.h>

#include <algorithm>
#include <cstdint>

// One function compiled for several instruction sets; the loader picks. Sanitizers' runtimes are not up yet
// when it does.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define DISCO_MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DISCO_MULTIVERSION
#endif

namespace disco::kernels {

/// As many of these threads as OpenMP starts: with fewer than a kernel of oneDNN was made for, or asks for,
/// parts of its result are left out (OMP_THREAD_LIMIT).
[[nodiscard]] inline int usable_threads(int threads) {
  return std::clamp(threads, 1, std::max(1, omp_get_thread_limit()));
}

/// OpenMP's threads of the calling thread while it lives, at least 1; oneDNN's primitives are made for the
/// number that they find.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(usable_threads(threads));
  }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Calls f(first, last) for runs of [0, count) that OpenMP's threads share. `work` is what one item costs, in
/// elements touched: little work stays on the calling thread.
template <typename F>
void parallel_runs(std::int64_t count, std::int64_t work, const F& f) {
  constexpr std::int64_t kWorthAThread = 16 * 1024;
  const std::int64_t most =
      std::max<std::int64_t>(1, count * std::max<std::int64_t>(1, work) / kWorthAThread);
  const auto threads = static_cast<int>(std::min<std::int64_t>({omp_get_max_threads(), count, most}));
  if (threads <= 1) {
    f(std::int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t team = omp_get_num_threads();
    const std::int64_t me = omp_get_thread_num();
    f(count * me / team, count * (me + 1) / team);
  }
}

}  // namespace disco::kernels
