# The shard: its decisions, without a database around them.
foreach(part stop visible group)
  kiwi_test(shard_${part} SOURCES ${CMAKE_CURRENT_LIST_DIR}/shard_${part}.c LINK room_shard)
endforeach()
