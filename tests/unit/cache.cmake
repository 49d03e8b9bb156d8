kiwi_test(test_cache_parts SOURCES unit/cache_parts.c LINK room_cache)
kiwi_test(test_cache_limits SOURCES unit/cache_limits.c LINK room_cache)
kiwi_test(test_cache_policy SOURCES unit/cache_policy.c LINK room_cache)
kiwi_test(test_cache_model SOURCES unit/cache_model.c LINK room_cache)
