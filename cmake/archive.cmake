# One archive of all rooms in which only kiwi_* symbols stay global, so that short internal names can
# never meet those of a program that links it.
set(KIWI_ARCHIVE ${PROJECT_BINARY_DIR}/libkiwi.a)
set(KIWI_ARCHIVE_ROOMS room_base room_io room_format room_cache room_wal room_iter room_memtable
                       room_table room_version room_compact room_shard room_db)
set(room_files "")
foreach(room ${KIWI_ARCHIVE_ROOMS})
  list(APPEND room_files $<TARGET_FILE:${room}>)
endforeach()
add_custom_command(
  OUTPUT ${KIWI_ARCHIVE}
  COMMAND ${CMAKE_LINKER} -r --whole-archive ${room_files} -o ${PROJECT_BINARY_DIR}/kiwi.o
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=kiwi_* ${PROJECT_BINARY_DIR}/kiwi.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${KIWI_ARCHIVE}
  COMMAND ${CMAKE_AR} rcs ${KIWI_ARCHIVE} ${PROJECT_BINARY_DIR}/kiwi.o
  DEPENDS ${KIWI_ARCHIVE_ROOMS}
  COMMENT "libkiwi.a with kiwi_* symbols only"
  VERBATIM)
add_custom_target(kiwi_archive ALL DEPENDS ${KIWI_ARCHIVE})

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(FILES ${KIWI_ARCHIVE} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/kiwi DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
# Everything in kiwi.pc is told from where it lies, so that `cmake --install --prefix` and moving work.
file(RELATIVE_PATH KIWI_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH KIWI_LIBDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH KIWI_INCLUDEDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(${PROJECT_SOURCE_DIR}/cmake/kiwi.pc.in ${PROJECT_BINARY_DIR}/kiwi.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kiwi.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/KiwiConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/KiwiConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Kiwi
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/KiwiConfigVersion.cmake
                                 VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/KiwiConfig.cmake ${PROJECT_BINARY_DIR}/KiwiConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Kiwi)
