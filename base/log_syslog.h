/* The way to syslog, apart because <syslog.h> has names of its own for levels. For log.c. */
#pragma once

void log_syslog_open(void);
/* level: enum log_level. */
void log_syslog_write(int level, const char *line);
