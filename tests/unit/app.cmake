# The program: forms of bytes, and the binary itself from the outside.
kiwi_test(test_app_text SOURCES ${CMAKE_CURRENT_LIST_DIR}/app_text.c LINK room_app room_bench)
kiwi_test(test_app_program SOURCES ${CMAKE_CURRENT_LIST_DIR}/app_program.c LINK PkgConfig::JANSSON COST 25)
target_compile_definitions(test_app_program PRIVATE KIWIDB="$<TARGET_FILE:kiwidb>"
                           WORKLOADS_FOLDER="${PROJECT_SOURCE_DIR}/workloads")
target_include_directories(test_app_program PRIVATE ${PROJECT_SOURCE_DIR})
add_dependencies(test_app_program kiwidb)
if(KIWI_SANITIZE) # of 200 programs; leaks are looked for where the engine is tested
  set_tests_properties(test_app_program PROPERTIES ENVIRONMENT ASAN_OPTIONS=detect_leaks=0)
endif()
