/* Lines of the log to syslog, which on most systems is the journal. */
#include "base/log_syslog.h"

#include <syslog.h>

void log_syslog_open(void)
{
    openlog("pailfs", LOG_PID, LOG_DAEMON);
}

void log_syslog_write(int level, const char *line)
{
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};

    syslog(priorities[level], "%s", line);
}
