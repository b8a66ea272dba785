/* How much port 111 is wanted; apart, because the command line needs nothing else of it. */
#pragma once

enum portmap_mode {
    PORTMAP_AUTO, /* try; go on without when neither way works */
    PORTMAP_ON,   /* neither working is an error */
    PORTMAP_OFF,
};
