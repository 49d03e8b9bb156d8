kiwi_test(test_version_edit SOURCES unit/version_edit.c LINK room_version)
if(NOT TARGET room_table)
  target_compile_definitions(test_version_edit PRIVATE TABLE_ROOM_MISSING)
endif()
