# The generated load: grammar, linter, generators.
foreach(name keys properties catalogue workload choosers acknowledged values stream distributions ours)
  kiwi_test(test_workloads_${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/workloads_${name}.c LINK room_workloads)
endforeach()
target_compile_definitions(test_workloads_workload PRIVATE WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
target_compile_definitions(test_workloads_ours PRIVATE WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
