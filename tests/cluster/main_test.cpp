// This executable is the tests and, as `test_cluster node …`, the node that they start: what the CLI is to
// users.

#include <gtest/gtest.h>

#include <cstring>
#include <iostream>

#include "cluster/node_server.h"
#include "cluster/process.h"

int main(int count, char** arguments) {
  if (count > 1 && std::strcmp(arguments[1], "node") == 0) {
    disco::NodeServerOptions options;
    bool parent_keys = false;
    for (int i = 2; i + 1 < count; i += 2) {
      if (std::strcmp(arguments[i], "--listen") == 0) {
        options.listen = arguments[i + 1];
      } else if (std::strcmp(arguments[i], "--parent-fd") == 0) {
        options.parent_fd = std::stoi(arguments[i + 1]);
      } else if (std::strcmp(arguments[i], "--parent-keys") == 0) {
        parent_keys = true;
      }
    }
    if (parent_keys) {
      const auto identity = disco::identity_from_parent(options.parent_fd);
      if (!identity) {
        std::cerr << "disco: " << identity.error().message << "\n";
        return 1;
      }
      options.keys = identity->keys;
      options.judge = disco::only({identity->coordinator}, "not the coordinator's");
    }
    const disco::Status status = disco::run_node_server(options);
    if (!status) {
      std::cerr << "disco: " << status.error().message << "\n";
    }
    return status.ok() ? 0 : 1;
  }
  ::testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
