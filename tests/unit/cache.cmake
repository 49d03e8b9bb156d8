kiwi_test(test_cache_model SOURCES unit/cache_model.c LINK room_cache)
