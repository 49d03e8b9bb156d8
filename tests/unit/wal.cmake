foreach(part append recovery damage crash)
  kiwi_test(wal_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/wal_${part}.c ${CMAKE_CURRENT_LIST_DIR}/wal_harness.c
            LINK room_wal)
endforeach()
