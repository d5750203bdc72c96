/* The upstream of every server on the bench: UDP and pipelined TCP, one thread, no state.
 *
 *   upstream PORT COUNTS
 *
 * COUNTS is a file of two 64-bit integers that it maps: queries over UDP, queries over TCP.
 */
#define _GNU_SOURCE
#include "answer.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 4096, IN_SIZE = 64 << 10, OUT_SIZE = 256 << 10, BUFFER_SIZE = 4 << 20 };
enum { LATE_MILLISECONDS = 100, MAX_LATE = 1 << 16, MAX_UDP_BATCH = 64 };

struct connection {
    uint8_t in[IN_SIZE], out[OUT_SIZE];
    size_t in_size, out_size;
    uint64_t generation; /* of the descriptor, so that a late reply finds its own connection */
};

struct late {
    uint64_t due, generation; /* milliseconds; which use of the descriptor */
    int fd;                   /* a connection's, or the UDP socket's */
    struct sockaddr_in client;
    uint16_t size;
    uint8_t reply[MAX_REPLY];
};

static struct connection *connections[MAX_FDS];
static struct late late[MAX_LATE];
static unsigned late_first, late_end;
static uint64_t *counts, generations;
static int poller, udp, listener;

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void put_late(int fd, const struct sockaddr_in *client, const uint8_t *reply, size_t size)
{
    if (late_end - late_first == MAX_LATE)
        return;
    struct late *one = &late[late_end++ % MAX_LATE];
    *one = (struct late){.due = milliseconds() + LATE_MILLISECONDS, .fd = fd, .size = (uint16_t)size};
    if (client)
        one->client = *client;
    else
        one->generation = connections[fd]->generation;
    memcpy(one->reply, reply, size);
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, operation, fd, &event);
}

static void close_connection(int fd)
{
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void flush(int fd)
{
    struct connection *it = connections[fd];
    ssize_t n = it->out_size ? send(fd, it->out, it->out_size, MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN) {
        close_connection(fd);
        return;
    }
    if (n > 0)
        memmove(it->out, it->out + n, it->out_size -= (size_t)n);
    watch(fd, it->out_size ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void put_frame(struct connection *it, const uint8_t *reply, size_t size)
{
    put16(it->out + it->out_size, (uint16_t)size);
    memcpy(it->out + it->out_size + 2, reply, size);
    it->out_size += size + 2;
}

static int has_room(const struct connection *it)
{
    return it->out_size + MAX_REPLY + 2 <= OUT_SIZE;
}

/* Answers every whole frame that was read, as far as there is room for replies. */
static void answer_frames(int fd)
{
    struct connection *it = connections[fd];
    size_t at = 0, reply_size;
    uint8_t reply[MAX_REPLY];
    while (it->in_size - at >= 2 && has_room(it)) {
        size_t size = (size_t)(it->in[at] << 8 | it->in[at + 1]);
        if (it->in_size - at - 2 < size)
            break;
        counts[1]++;
        enum when when = answer(it->in + at + 2, size, reply, &reply_size);
        if (when == NOW)
            put_frame(it, reply, reply_size);
        else if (when == LATER)
            put_late(fd, NULL, reply, reply_size);
        at += size + 2;
    }
    memmove(it->in, it->in + at, it->in_size -= at);
}

static void serve_tcp(int fd)
{
    struct connection *it = connections[fd];
    ssize_t n = recv(fd, it->in + it->in_size, IN_SIZE - it->in_size, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close_connection(fd);
        return;
    }
    it->in_size += n > 0 ? (size_t)n : 0;
    answer_frames(fd);
    flush(fd);
}

static void accept_connection(void)
{
    int yes = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0 || fd >= MAX_FDS) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connections[fd] = calloc(1, sizeof *connections[fd]);
    connections[fd]->generation = ++generations;
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
}

static void serve_udp(void)
{
    uint8_t query[MAX_REPLY], reply[MAX_REPLY];
    struct sockaddr_in client;
    for (int i = 0; i < MAX_UDP_BATCH; i++) {
        socklen_t length = sizeof client;
        ssize_t n = recvfrom(udp, query, sizeof query, 0, (struct sockaddr *)&client, &length);
        if (n < 0)
            return;
        counts[0]++;
        size_t size;
        enum when when = answer(query, (size_t)n, reply, &size);
        if (when == NOW)
            sendto(udp, reply, size, 0, (struct sockaddr *)&client, length);
        else if (when == LATER)
            put_late(udp, &client, reply, size);
    }
}

static void send_one_late(const struct late *one)
{
    if (one->fd == udp) {
        sendto(udp, one->reply, one->size, 0, (const struct sockaddr *)&one->client,
               sizeof one->client);
        return;
    }
    struct connection *it = connections[one->fd];
    if (!it || it->generation != one->generation || !has_room(it))
        return;
    put_frame(it, one->reply, one->size);
    flush(one->fd);
}

/* Sends what is due; returns how many milliseconds the next one has to wait, -1 for none. */
static int send_late(void)
{
    uint64_t now = milliseconds();
    while (late_first != late_end && late[late_first % MAX_LATE].due <= now)
        send_one_late(&late[late_first++ % MAX_LATE]);
    return late_first == late_end ? -1 : (int)(late[late_first % MAX_LATE].due - now);
}

static int bound(int type, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int yes = 1, size = BUFFER_SIZE, fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) {
        perror("upstream: bind");
        exit(1);
    }
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    return fd;
}

static void map_counts(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    if (fd < 0 || ftruncate(fd, 16)) {
        perror(path);
        exit(1);
    }
    counts = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static void serve(const struct epoll_event *event)
{
    int fd = event->data.fd;
    if (fd == udp)
        serve_udp();
    else if (fd == listener)
        accept_connection();
    else if (connections[fd])
        serve_tcp(fd);
}

int main(int argc, char **argv)
{
    struct epoll_event events[64];
    if (argc != 3)
        return fprintf(stderr, "usage: upstream PORT COUNTS\n"), 2;
    map_counts(argv[2]);
    poller = epoll_create1(0);
    udp = bound(SOCK_DGRAM, argv[1]);
    listener = bound(SOCK_STREAM, argv[1]);
    listen(listener, 512);
    for (;;) {
        int n = epoll_wait(poller, events, 64, send_late());
        for (int i = 0; i < n; i++)
            serve(&events[i]);
    }
}
