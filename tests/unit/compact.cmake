kiwi_test(test_compact_pick SOURCES unit/compact_pick.c LINK room_compact)
kiwi_test(test_compact_drop SOURCES unit/compact_drop.c LINK room_compact)
kiwi_test(test_compact_pace SOURCES unit/compact_pace.c LINK room_compact)
if(TARGET room_iter AND TARGET room_memtable AND TARGET room_table)
  kiwi_test(test_compact_job SOURCES unit/compact_job.c unit/compact_harness.c LINK room_compact
            TIMEOUT 300 COST 30)
  target_include_directories(test_compact_job PRIVATE unit)
endif()
