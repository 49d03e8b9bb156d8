# The memtable: against a sorted array, its parts, its memory.
foreach(name model parts memory)
  kiwi_test(test_memtable_${name}
    SOURCES ${CMAKE_CURRENT_LIST_DIR}/memtable_${name}.c ${CMAKE_CURRENT_LIST_DIR}/memtable_harness.c
    LINK room_memtable)
endforeach()
