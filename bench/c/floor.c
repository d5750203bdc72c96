/* The floor: the least that a DNS server over UDP can cost on this kernel.
 *
 *   floor PORT
 *
 * Reads up to BATCH queries with one call, answers each by itself without looking anything up, and
 * sends the replies with one call. What a real server costs above this is its own doing.
 */
#define _GNU_SOURCE
#include "answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { BATCH = 64, MAX_QUERY = 512, BUFFER_SIZE = 4 << 20 };

static uint8_t queries[BATCH][MAX_QUERY], replies[BATCH][MAX_REPLY];
static struct sockaddr_in clients[BATCH];
static struct iovec query_parts[BATCH], reply_parts[BATCH];
static struct mmsghdr received[BATCH], sent[BATCH];

static int listen_udp(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int size = BUFFER_SIZE, udp = socket(AF_INET, SOCK_DGRAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(udp, (struct sockaddr *)&address, sizeof address)) {
        perror("floor: bind");
        exit(1);
    }
    return udp;
}

static void ready_to_receive(void)
{
    for (int i = 0; i < BATCH; i++) {
        query_parts[i] = (struct iovec){queries[i], MAX_QUERY};
        received[i].msg_hdr = (struct msghdr){.msg_name = &clients[i],
                                              .msg_namelen = sizeof clients[i],
                                              .msg_iov = &query_parts[i],
                                              .msg_iovlen = 1};
    }
}

static unsigned write_replies(unsigned count)
{
    unsigned ready = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t size;
        if (answer(queries[i], received[i].msg_len, replies[ready], &size) == NEVER)
            continue;
        reply_parts[ready] = (struct iovec){replies[ready], size};
        sent[ready].msg_hdr = (struct msghdr){.msg_name = &clients[i],
                                              .msg_namelen = sizeof clients[i],
                                              .msg_iov = &reply_parts[ready],
                                              .msg_iovlen = 1};
        ready++;
    }
    return ready;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: floor PORT\n"), 2;
    int udp = listen_udp(argv[1]);
    ready_to_receive();
    for (;;) {
        int count = recvmmsg(udp, received, BATCH, MSG_WAITFORONE, NULL);
        if (count <= 0)
            continue;
        unsigned ready = write_replies((unsigned)count);
        for (unsigned done = 0; done < ready;) {
            int n = sendmmsg(udp, sent + done, ready - done, 0);
            done += n > 0 ? (unsigned)n : 1;
        }
    }
}
