/* The one answer that the floor and the upstream give.
 *
 * The last label of the name decides: "nx" does not exist (NXDOMAIN with an SOA), "dead" is never
 * answered, "slow" is answered late, "t30" has a TTL of 30 seconds, "alias" is an alias of a name
 * beside it; every other name exists for an hour. A, AAAA and SRV hold one record each, every other
 * type none. Nothing is looked up or kept.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { HEADER = 12, OPT_SIZE = 11, MAX_REPLY = 512, TYPE_A = 1, TYPE_CNAME = 5 };
enum { TYPE_SOA = 6, TYPE_AAAA = 28, TYPE_SRV = 33 };
enum { DEFAULT_TTL = 3600, PAYLOAD_SIZE = 1232, NXDOMAIN = 3 };
enum when { NEVER, NOW, LATER };

struct question {
    size_t end;        /* just past its class */
    size_t last_label; /* offset of the last label's length octet */
    uint16_t type;
};

static int read_question(const uint8_t *query, size_t size, struct question *found)
{
    size_t at = HEADER;
    found->last_label = 0;
    while (at < size && query[at]) {
        if (query[at] > 63)
            return 0;
        found->last_label = at;
        at += query[at] + 1u;
    }
    if (at + 5 > size)
        return 0;
    found->type = (uint16_t)(query[at + 1] << 8 | query[at + 2]);
    found->end = at + 5;
    return 1;
}

static int is_label(const uint8_t *label, const char *text)
{
    size_t size = strlen(text);
    return label[0] == size && strncasecmp((const char *)label + 1, text, size) == 0;
}

/* The seconds in a label such as "t30". */
static uint32_t label_ttl(const uint8_t *label)
{
    uint32_t seconds = 0;
    if (label[0] < 2 || (label[1] | 0x20) != 't')
        return DEFAULT_TTL;
    for (int i = 2; i <= label[0]; i++) {
        if (label[i] < '0' || label[i] > '9')
            return DEFAULT_TTL;
        seconds = seconds * 10 + (uint32_t)(label[i] - '0');
    }
    return seconds;
}

static uint8_t *put16(uint8_t *to, uint16_t value)
{
    value = htons(value);
    memcpy(to, &value, 2);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, uint32_t value)
{
    value = htonl(value);
    memcpy(to, &value, 4);
    return to + 4;
}

static uint8_t *put_record(uint8_t *to, size_t owner, uint16_t type, uint32_t ttl, uint16_t size)
{
    to = put16(to, (uint16_t)(0xc000 | owner));
    to = put16(to, type);
    to = put16(to, 1);
    to = put32(to, ttl);
    return put16(to, size);
}

static uint8_t *put_address(uint8_t *to, size_t owner, uint16_t type, uint32_t ttl)
{
    static const uint8_t address[16] = {192, 0, 2, 1};
    uint16_t size = type == TYPE_A ? 4 : 16;
    to = put_record(to, owner, type, ttl, size);
    memcpy(to, address, size);
    return to + size;
}

/* An alias, "real" below the last label, and the address of that name. */
static uint8_t *put_alias(uint8_t *reply, uint8_t *to, size_t parent, uint16_t type, uint32_t ttl)
{
    to = put_record(to, HEADER, TYPE_CNAME, ttl, 7);
    size_t target = (size_t)(to - reply);
    memcpy(to, "\4real", 5);
    to = put16(to + 5, (uint16_t)(0xc000 | parent));
    return put_address(to, target, type, ttl);
}

/* A service at port 53 of "pod." */
static uint8_t *put_service(uint8_t *to, uint32_t ttl)
{
    to = put_record(to, HEADER, TYPE_SRV, ttl, 11);
    memcpy(to, "\0\0\0\144\0\065\3pod", 11);
    return to + 11;
}

/* An SOA whose owner is the last label, with root names and a minimum of `ttl`. */
static uint8_t *put_soa(uint8_t *to, size_t owner, uint32_t ttl)
{
    to = put_record(to, owner, TYPE_SOA, ttl, 22);
    *to++ = 0;
    *to++ = 0;
    for (int i = 0; i < 5; i++)
        to = put32(to, ttl);
    return to;
}

static uint8_t *put_opt(uint8_t *to)
{
    static const uint8_t opt[OPT_SIZE] = {0, 0, 41, PAYLOAD_SIZE >> 8, PAYLOAD_SIZE & 0xff};
    memcpy(to, opt, OPT_SIZE);
    return to + OPT_SIZE;
}

/* Writes the reply to `query` and its size; says when it is to be sent. */
static enum when answer(const uint8_t *query, size_t size, uint8_t *reply, size_t *reply_size)
{
    struct question asked;
    if (size < HEADER || query[2] & 0x80 || !read_question(query, size, &asked) ||
        asked.end + 64 > MAX_REPLY)
        return NEVER;
    const uint8_t *last = query + (asked.last_label ? asked.last_label : HEADER);
    if (is_label(last, "dead"))
        return NEVER;
    int is_missing = is_label(last, "nx");
    int is_address = asked.type == TYPE_A || asked.type == TYPE_AAAA;
    int is_alias = is_address && is_label(last, "alias");
    int has_record = !is_missing && (is_address || asked.type == TYPE_SRV);
    int has_opt = query[11] != 0;
    memcpy(reply, query, asked.end);
    reply[2] = (uint8_t)(0x80 | (query[2] & 0x79));
    reply[3] = (uint8_t)(0x80 | (is_missing ? NXDOMAIN : 0));
    uint8_t *to = put16(reply + 6, (uint16_t)(has_record + is_alias));
    to = put16(to, !has_record);
    put16(to, (uint16_t)has_opt);
    to = reply + asked.end;
    if (is_alias)
        to = put_alias(reply, to, (size_t)(last - query), asked.type, DEFAULT_TTL);
    else if (has_record && is_address)
        to = put_address(to, HEADER, asked.type, label_ttl(last));
    else if (has_record)
        to = put_service(to, DEFAULT_TTL);
    else
        to = put_soa(to, (size_t)(last - query), DEFAULT_TTL);
    if (has_opt)
        to = put_opt(to);
    *reply_size = (size_t)(to - reply);
    return is_label(last, "slow") ? LATER : NOW;
}

#endif
