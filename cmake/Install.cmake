# What `cmake --install` puts down: the `disco` program, the library libdisco with its headers, and the files by which CMake
# (`find_package(disco)`, target disco::disco) and pkg-config find it.
#
# libdisco is shared, so that a program that uses it needs none of the development packages that this project is built with, and so
# that an update of it reaches every program. The library exports what the public headers declare: src/api and the
# sources listed here are linked as objects, all else comes from archives, whose symbols --exclude-libs keeps inside.
# The program does not link to it: a device needs that one file, and the library's tools see more than the API.
include(CMakePackageConfigHelpers)

file(RELATIVE_PATH lib_to_bin ${CMAKE_INSTALL_FULL_LIBDIR} ${CMAKE_INSTALL_FULL_BINDIR})
set_property(SOURCE ${CMAKE_SOURCE_DIR}/src/api/executable.cpp APPEND PROPERTY COMPILE_DEFINITIONS DISCO_LIB_TO_BIN="${lib_to_bin}")

# disco_objects(out module files…): the objects of these sources of a folder.
function(disco_objects out module)
  list(JOIN ARGN "|" pattern)
  set(${out} $<FILTER:$<TARGET_OBJECTS:disco_${module}>,INCLUDE,/\(${pattern}\)\\.cpp> PARENT_SCOPE)
endfunction()
disco_objects(base_objects base result tensor)
disco_objects(runtime_objects runtime trace)
disco_objects(cluster_objects cluster cluster_file)

set(export_list ${CMAKE_SOURCE_DIR}/cmake/libdisco.map)
add_library(libdisco SHARED $<TARGET_OBJECTS:disco_api> ${base_objects} ${runtime_objects} ${cluster_objects})
add_library(disco::disco ALIAS libdisco)
target_compile_features(libdisco INTERFACE cxx_std_20)
target_include_directories(libdisco INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(libdisco PRIVATE disco_cluster disco_options ${CMAKE_DL_LIBS})
target_link_options(libdisco PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${export_list})
set_target_properties(libdisco PROPERTIES OUTPUT_NAME disco EXPORT_NAME disco LINKER_LANGUAGE CXX LINK_DEPENDS ${export_list}
                      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/disco)
install(TARGETS disco RUNTIME)
install(TARGETS libdisco EXPORT disco LIBRARY)
install(DIRECTORY include/disco TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(EXPORT disco NAMESPACE disco:: FILE discoConfig.cmake DESTINATION ${package_dir})
write_basic_package_version_file(discoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/discoConfigVersion.cmake DESTINATION ${package_dir})
file(RELATIVE_PATH pc_to_prefix ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/disco.pc.in disco.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/disco.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(DISCO_TESTS)
  target_compile_definitions(test_api PRIVATE DISCO_PROGRAM="$<TARGET_FILE:disco>")
  add_dependencies(test_api disco)
  add_subdirectory(tests/install)
endif()
