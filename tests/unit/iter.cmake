# The merge of sorted inputs.
kiwi_test(test_iter_merge SOURCES ${CMAKE_CURRENT_LIST_DIR}/iter_merge.c LINK room_iter)
