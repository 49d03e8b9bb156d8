# Checksums; the library's own XXH3 is the oracle of the variants that are compiled in.
kiwi_test(test_base_hash SOURCES ${CMAKE_CURRENT_LIST_DIR}/base_hash.c LINK room_base)
