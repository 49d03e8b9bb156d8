kiwi_test(compact_pick SOURCES unit/compact_pick.c LINK room_compact)
kiwi_test(compact_drop SOURCES unit/compact_drop.c LINK room_compact)
kiwi_test(compact_pace SOURCES unit/compact_pace.c LINK room_compact)
