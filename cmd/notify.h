/* Telling a service manager how far we are: sd_notify(3)'s protocol, without its library. */
#pragma once

/* Sends state, such as "READY=1", to where NOTIFY_SOCKET says; nothing without that variable. */
void notify_send(const char *state);
