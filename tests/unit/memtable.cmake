# The memtable: against a sorted array, its parts, its memory.
kiwi_test(test_memtable_model
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/memtable_model.c ${CMAKE_CURRENT_LIST_DIR}/memtable_harness.c
  LINK room_memtable)
