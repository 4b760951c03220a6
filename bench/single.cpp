// One node, one model: answers "run" on standard input with the milliseconds that a run took, so that another
// program can interleave its own runs with these. "steps" prints where the time goes.
//
//   bench_single MODEL.onnx [THREADS [--shape INPUT EXTENT … .] …]

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <string>

#include "compile/program.h"
#include "graph/onnx.h"
#include "inputs.h"
#include "reference/specialise.h"

namespace {

using namespace disco;  // NOLINT(google-build-using-namespace)

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Status serve(const std::string& path, int threads, const InputShapes& shapes) {
  omp_set_num_threads(threads);
  DISCO_TRY(const Graph model, load_onnx(path));
  DISCO_TRY(const Graph graph, specialise(model, shapes));
  DISCO_TRY(const Program program, compile(graph));
  Workspace workspace(program);
  for (const auto& [name, tensor] : random_inputs(graph)) DISCO_CHECK(workspace.set_input(name, tensor));
  fmt::print("ready {} steps, weights {} bytes, arena {} bytes\n", program.steps().size(),
             program.weight_bytes(), program.arena_bytes());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "steps") {
      std::map<std::string, double> by_kind;
      for (const Step& step : program.steps()) {
        double best = 1e9;
        for (int i = 0; i < 5; ++i) {
          const auto start = std::chrono::steady_clock::now();
          DISCO_CHECK(step.kernel->run(workspace));
          best = std::min(best, milliseconds_since(start));
        }
        by_kind[step.op + " " + step.kernel->implementation()] += best;
        fmt::print("{:9.4f} ms  {:>8.2f} GMAC/s  {} {} [{}]\n", best,
                   static_cast<double>(step.macs) / best / 1e6, step.op, step.name,
                   step.kernel->implementation());
      }
      for (const auto& [kind, ms] : by_kind) fmt::print("total {:9.4f} ms  {}\n", ms, kind);
      fmt::print("end\n");
    } else {
      const auto start = std::chrono::steady_clock::now();
      for (const Step& step : program.steps()) DISCO_CHECK(step.kernel->run(workspace));
      fmt::print("{:.4f}\n", milliseconds_since(start));
    }
    std::fflush(stdout);
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_single MODEL.onnx [THREADS [--shape INPUT EXTENT … .] …]\n");
    return 2;
  }
  if (const auto status = serve(argv[1], argc > 2 ? std::stoi(argv[2]) : 1, bench::shapes_of(argc, argv, 3));
      !status) {
    fmt::print(stderr, "bench_single: {}\n", status.error().message);
    return 1;
  }
  return 0;
}
