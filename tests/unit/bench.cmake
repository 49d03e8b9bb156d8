# The benchmark driver, with engines that do nothing, forget or fail.
foreach(name ab cap chart story trace slowest change history probe options plan tracked clock folder crew kill hot_shard skew report hlog ladder pace statistics machine versus)
  kiwi_test(test_bench_${name} SOURCES ${CMAKE_CURRENT_LIST_DIR}/bench_${name}.c LINK room_bench)
endforeach()
target_compile_definitions(test_bench_plan PRIVATE WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
target_compile_definitions(test_bench_report PRIVATE
  SCHEMA_FILE="${PROJECT_SOURCE_DIR}/results/schema/v1.json"
  WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
if(TARGET room_db)
  kiwi_test(test_bench_schema SOURCES ${CMAKE_CURRENT_LIST_DIR}/bench_schema.c LINK room_bench)
  kiwi_long_when_sanitized(test_bench_schema) # it runs many benchmarks, and looks at what they wrote
  target_compile_definitions(test_bench_schema PRIVATE
    SCHEMA_TEXT="${PROJECT_SOURCE_DIR}/results/SCHEMA.md"
    WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
endif()
target_compile_definitions(test_bench_hlog PRIVATE HLOG_DECODE="${PROJECT_SOURCE_DIR}/tests/bench/hlog_decode.js")

# Every engine of this build that keeps data, through the same calls: other people's may be missing.
kiwi_test(test_bench_engines SOURCES ${CMAKE_CURRENT_LIST_DIR}/bench_engines.c LINK room_bench)
