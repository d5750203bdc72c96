/* Looks each argument up as a program does, by getaddrinfo of the libc it is linked with, and prints how long each took in µs. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static double microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    struct addrinfo hints;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    for (int i = 1; i < argc; i++) {
        struct addrinfo *found = NULL;
        double begun = microseconds();
        int status = getaddrinfo(argv[i], NULL, &hints, &found);
        printf("%.0f %s\n", microseconds() - begun, status ? gai_strerror(status) : "found");
        fflush(stdout);
        if (!status)
            freeaddrinfo(found);
    }
    return 0;
}
