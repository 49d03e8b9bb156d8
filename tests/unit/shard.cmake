# The shard: its decisions, without a database around them.
kiwi_test(shard_stop SOURCES ${CMAKE_CURRENT_LIST_DIR}/shard_stop.c LINK room_shard)
kiwi_test(shard_visible SOURCES ${CMAKE_CURRENT_LIST_DIR}/shard_visible.c LINK room_shard)
