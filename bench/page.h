/*
 * page.h: what every report page has: its style (page.html) and its script (page.js).
 */
#pragma once

extern const char page_style[], page_script[]; /* end with a zero byte */
