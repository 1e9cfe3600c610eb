/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scram.h: the server's half of SCRAM-SHA-256, as PostgreSQL speaks it, and the verifiers that stand for passwords.
 *
 *     client-first  ->  scram_first  ->  server-first
 *     client-final  ->  scram_final  ->  server-final, or 28P01
 *
 * Promise     The password never travels and is never stored. An unknown role, or one without a password, gets an exchange
 *             that looks like any other and fails at its end. Messages are parsed by one function each, which checks
 *             everything; comparisons of proofs take the same time whatever differs.
 * Relies on   OpenSSL's HMAC, SHA-256 and PBKDF2; nonces from the caller (env_secret).
 * Threads     any.
 * Source      RFC 5802, RFC 7677; PostgreSQL 15, section 55.3 "SASL Authentication". Channel binding is not offered.
 */
#ifndef MERIDIAN_SQL_SCRAM_H
#define MERIDIAN_SQL_SCRAM_H

#include "truetime/base/err.h"

enum {
    SCRAM_KEY_BYTES = 32,
    SCRAM_SALT_BYTES = 16,
    SCRAM_NONCE_BYTES = 18, /* raw; 24 in base64 */
    SCRAM_ITERATIONS = 4096,
    SCRAM_MESSAGE_BYTES_MAX = 1024,
    SCRAM_VERIFIER_BYTES_MAX = 256,
};

struct scram {
    char nonce[128]; /* the client's, then ours */
    char first_bare[SCRAM_MESSAGE_BYTES_MAX];
    char server_first[SCRAM_MESSAGE_BYTES_MAX];
    uint8_t stored_key[SCRAM_KEY_BYTES], server_key[SCRAM_KEY_BYTES];
    char gs2[32]; /* the header that the client began with */
    uint8_t binding[64];
    size_t binding_bytes; /* it binds the exchange to the TLS channel by this; 0: it does not */
    bool doomed;          /* a verifier that nobody has */
};

/* "SCRAM-SHA-256$4096:SALT$STORED:SERVER" for a password. RC_LIMIT: too long a password. */
enum rc scram_verifier(const char *password, const uint8_t salt[SCRAM_SALT_BYTES], char *ret, size_t bytes,
                       struct err *err) MUST_CHECK;
/* Whether text is a verifier: CREATE ROLE takes one in place of a password. */
bool scram_is_verifier(const char *text);

/* verifier "" or not one: the exchange is bound to fail; its salt then comes from `seed`, the same for the same role.
 * channel: the hash of the server's certificate where TLS is on, else of no bytes; plus: the client chose to be bound to it
 * (SCRAM-SHA-256-PLUS). ret: server-first. 08P01: malformed; 28000: what the client believes of the channel is not so. */
struct scram_channel {
    uint8_t hash[64];
    size_t bytes;
    bool plus;
};

enum rc scram_first(struct scram *s, const char *verifier, const uint8_t seed[SCRAM_SALT_BYTES],
                    const struct scram_channel *channel, const void *message, size_t bytes,
                    const uint8_t nonce[SCRAM_NONCE_BYTES], char *ret, size_t cap, struct err *err) MUST_CHECK;
/* RC_PERMISSION (28P01): the wrong password. */
enum rc scram_final(struct scram *s, const void *message, size_t bytes, char *ret, size_t cap,
                    struct err *err) MUST_CHECK;

#endif
