# disco_module(name [PUBLIC libraries…] [PRIVATE libraries…]): the folder src/<name> as the static library disco_<name>,
# and tests/<name>/*_test.cpp as the executable test_<name>.
# disco_tests(name libraries…): tests/<name>/*_test.cpp as the executable test_<name>, where there are any.

add_library(disco_options INTERFACE)
target_compile_options(disco_options INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers)
if(DISCO_SANITIZE)
  target_compile_options(disco_options INTERFACE -fsanitize=${DISCO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(disco_options INTERFACE -fsanitize=${DISCO_SANITIZE})
endif()

function(disco_module name)
  cmake_parse_arguments(arg "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp ${CMAKE_SOURCE_DIR}/src/${name}/*.h)
  list(FILTER sources INCLUDE REGEX "\\.cpp$")
  if(NOT sources)
    add_library(disco_${name} INTERFACE)
    target_link_libraries(disco_${name} INTERFACE ${arg_PUBLIC})
    return()
  endif()
  add_library(disco_${name} STATIC ${sources})
  target_include_directories(disco_${name} PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(disco_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE} disco_options)
  set_property(GLOBAL APPEND PROPERTY DISCO_MODULES disco_${name})

  disco_tests(${name} disco_${name} ${arg_PRIVATE})
endfunction()

function(disco_tests name)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${name}/*_test.cpp)
  if(DISCO_TESTS AND tests)
    add_executable(test_${name} ${tests})
    target_link_libraries(test_${name} PRIVATE ${ARGN} GTest::gtest_main GTest::gmock disco_options)
    target_compile_definitions(test_${name} PRIVATE DISCO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    if(name STREQUAL "train")
      add_test(NAME train COMMAND test_train)  # in one process: starting LibTorch takes longer than a test
      set_tests_properties(train PROPERTIES TIMEOUT 600)
    else()
      gtest_discover_tests(test_${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
    endif()
  endif()
endfunction()
