/* fs_data: bytes handed to a front end by reference. */
#include "fs/fs.h"

void fs_data_release(struct fs_data *data)
{
    for (uint32_t i = 0; i < data->count; i++)
        if (data->unref[i])
            data->unref[i](data->ref[i]);
    data->count = 0;
    data->len = 0;
}
