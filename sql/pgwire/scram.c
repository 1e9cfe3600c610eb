/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scram.c: see scram.h. With SaltedPassword = PBKDF2(password, salt, i):
 *
 *     StoredKey = H(HMAC(SaltedPassword, "Client Key"))      what the verifier keeps of the client
 *     ServerKey = HMAC(SaltedPassword, "Server Key")         what lets us prove that we know it
 *     AuthMessage = client-first-bare "," server-first "," client-final-without-proof
 *     the client sends   ClientKey XOR HMAC(StoredKey, AuthMessage)
 *     we answer          HMAC(ServerKey, AuthMessage)
 */
#include "sql/pgwire/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BASE64_KEY_BYTES = 44, PASSWORD_BYTES_MAX = 1024, ITERATIONS_MAX = 10000000 };

static bool hmac(const uint8_t *key, const void *data, size_t bytes, uint8_t ret[SCRAM_KEY_BYTES]) {
    unsigned n = SCRAM_KEY_BYTES;
    return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, data, bytes, ret, &n) != NULL && n == SCRAM_KEY_BYTES;
}

static bool sha256(const uint8_t *data, size_t bytes, uint8_t ret[SCRAM_KEY_BYTES]) {
    unsigned n = SCRAM_KEY_BYTES;
    return EVP_Digest(data, bytes, ret, &n, EVP_sha256(), NULL) == 1;
}

/* Base64 of whole groups, decoded; the number of bytes, or -1. */
static int unbase64(const char *from, size_t bytes, uint8_t *to, size_t cap) {
    size_t pad = 0;
    if (bytes == 0 || bytes % 4 != 0 || bytes / 4 * 3 > cap)
        return -1;
    while (pad < 2 && from[bytes - 1 - pad] == '=')
        pad++;
    int n = EVP_DecodeBlock(to, (const unsigned char *)from, (int)bytes);
    return n < 0 ? -1 : n - (int)pad;
}

static void base64(const uint8_t *from, size_t bytes, char *to) {
    EVP_EncodeBlock((unsigned char *)to, from, (int)bytes);
}

enum rc scram_verifier(const char *password, const uint8_t salt[SCRAM_SALT_BYTES], char *ret, size_t bytes,
                       struct err *err) {
    uint8_t salted[SCRAM_KEY_BYTES], key[SCRAM_KEY_BYTES], stored[SCRAM_KEY_BYTES], server[SCRAM_KEY_BYTES];
    char salt64[32], stored64[BASE64_KEY_BYTES + 1], server64[BASE64_KEY_BYTES + 1];
    size_t n = strlen(password);
    if (n > PASSWORD_BYTES_MAX)
        return err_set(err, RC_LIMIT, "the password is longer than %d bytes", PASSWORD_BYTES_MAX);
    bool ok = PKCS5_PBKDF2_HMAC(password, (int)n, salt, SCRAM_SALT_BYTES, SCRAM_ITERATIONS, EVP_sha256(),
                                SCRAM_KEY_BYTES, salted) == 1 &&
              hmac(salted, "Client Key", 10, key) && sha256(key, sizeof key, stored) &&
              hmac(salted, "Server Key", 10, server);
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(key, sizeof key);
    if (!ok)
        return err_set(err, RC_INTERNAL, "OpenSSL could not derive a key from the password");
    base64(salt, SCRAM_SALT_BYTES, salt64);
    base64(stored, sizeof stored, stored64);
    base64(server, sizeof server, server64);
    int len = snprintf(ret, bytes, "SCRAM-SHA-256$%d:%s$%s:%s", SCRAM_ITERATIONS, salt64, stored64, server64);
    return len > 0 && (size_t)len < bytes ? RC_OK : err_set(err, RC_LIMIT, "no room for the password's verifier");
}

struct parsed {
    int iterations;
    char salt64[96];
    uint8_t stored[SCRAM_KEY_BYTES], server[SCRAM_KEY_BYTES];
};

static bool verifier_parse(const char *text, struct parsed *ret) {
    static const char prefix[] = "SCRAM-SHA-256$";
    uint8_t salt[72], key[SCRAM_KEY_BYTES + 1];
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return false;
    char *end;
    const char *at = text + sizeof prefix - 1;
    long n = at[0] >= '1' && at[0] <= '9' ? strtol(at, &end, 10) : 0;
    if (n < 1 || n > ITERATIONS_MAX || *end != ':')
        return false;
    const char *salt_at = end + 1, *keys = strchr(salt_at, '$');
    if (!keys || (size_t)(keys - salt_at) >= sizeof ret->salt64 ||
        unbase64(salt_at, (size_t)(keys - salt_at), salt, sizeof salt) <= 0)
        return false;
    if (strlen(keys) != 1 + BASE64_KEY_BYTES + 1 + BASE64_KEY_BYTES || keys[1 + BASE64_KEY_BYTES] != ':')
        return false;
    if (unbase64(keys + 1, BASE64_KEY_BYTES, key, sizeof key) != SCRAM_KEY_BYTES)
        return false;
    memcpy(ret->stored, key, SCRAM_KEY_BYTES);
    if (unbase64(keys + 2 + BASE64_KEY_BYTES, BASE64_KEY_BYTES, key, sizeof key) != SCRAM_KEY_BYTES)
        return false;
    memcpy(ret->server, key, SCRAM_KEY_BYTES);
    ret->iterations = (int)n;
    memcpy(ret->salt64, salt_at, (size_t)(keys - salt_at));
    ret->salt64[keys - salt_at] = '\0';
    return true;
}

bool scram_is_verifier(const char *text) {
    struct parsed p;
    return verifier_parse(text, &p);
}

static enum rc malformed(struct err *err, const char *what) {
    err_set(err, RC_PROTOCOL, "malformed SCRAM message");
    err_detail(err, "%s", what);
    return RC_PROTOCOL;
}

/* Copies a message that must be printable text. */
static bool text_of(const void *message, size_t bytes, char *to, size_t cap) {
    if (bytes >= cap)
        return false;
    memcpy(to, message, bytes);
    to[bytes] = '\0';
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f)
            return false;
    return true;
}

/*
 * The header says what the client thinks of channel binding: that it cannot ("n"), that we cannot ("y"), or how ("p="). Somebody in the
 * middle who hides our offer is found out by the "y".
 */
static bool take_header(struct scram *s, const struct scram_channel *channel, char *text, const char **ret_bare,
                        struct err *err) {
    static const char bound[] = "p=tls-server-end-point,,";
    bool can = channel && channel->bytes > 0, plus = can && channel->plus;
    size_t n = 3;
    if (text[0] == 'p') {
        n = sizeof bound - 1;
        if (!plus || strncmp(text, bound, n) != 0)
            return malformed(err, "It asks for a channel binding that is not offered.") == RC_OK;
        memcpy(s->binding, channel->hash, channel->bytes);
        s->binding_bytes = channel->bytes;
    } else if ((text[0] != 'n' && text[0] != 'y') || text[1] != ',' || text[2] != ',') {
        return malformed(err, "Its header is not \"n,,\", \"y,,\" or \"p=...,,\".") == RC_OK;
    } else if (plus) {
        return malformed(err, "SCRAM-SHA-256-PLUS without channel binding.") == RC_OK;
    } else if (text[0] == 'y' && can) {
        err_sql(err, "28000", "SCRAM channel binding negotiation error");
        err_detail(err,
                   "The client supports SCRAM channel binding but thinks the server does not. However, this server "
                   "does support channel binding.");
        return false;
    }
    memcpy(s->gs2, text, n);
    *ret_bare = text + n;
    return true;
}

enum rc scram_first(struct scram *s, const char *verifier, const uint8_t seed[SCRAM_SALT_BYTES],
                    const struct scram_channel *channel, const void *message, size_t bytes,
                    const uint8_t nonce[SCRAM_NONCE_BYTES], char *ret, size_t cap, struct err *err) {
    char text[SCRAM_MESSAGE_BYTES_MAX], ours[SCRAM_NONCE_BYTES / 3 * 4 + 1];
    struct parsed p;
    *s = (struct scram){0};
    if (!text_of(message, bytes, text, sizeof text))
        return malformed(err, "It is too long or no text.");
    const char *bare;
    if (!take_header(s, channel, text, &bare, err))
        return err ? err->rc : RC_PROTOCOL;
    if (strncmp(bare, "n=", 2) != 0)
        return malformed(err, "The name is missing.");
    const char *r = strchr(bare, ',');
    if (!r || strncmp(r, ",r=", 3) != 0)
        return malformed(err, "The nonce is missing.");
    r += 3;
    size_t n = strcspn(r, ",");
    if (n == 0 || r[n] == ',' || n + sizeof ours > sizeof s->nonce)
        return malformed(err, "The nonce is empty or too long, or more follows.");
    base64(nonce, SCRAM_NONCE_BYTES, ours);
    snprintf(s->nonce, sizeof s->nonce, "%s%s", r, ours);
    snprintf(s->first_bare, sizeof s->first_bare, "%s", bare);
    s->doomed = !verifier_parse(verifier, &p);
    if (s->doomed) {
        p = (struct parsed){.iterations = SCRAM_ITERATIONS};
        base64(seed, SCRAM_SALT_BYTES, p.salt64);
    }
    memcpy(s->stored_key, p.stored, sizeof s->stored_key);
    memcpy(s->server_key, p.server, sizeof s->server_key);
    int len = snprintf(s->server_first, sizeof s->server_first, "r=%s,s=%s,i=%d", s->nonce, p.salt64, p.iterations);
    if (len <= 0 || (size_t)len >= sizeof s->server_first || (size_t)len >= cap)
        return malformed(err, "The nonce is too long.");
    memcpy(ret, s->server_first, (size_t)len + 1);
    return RC_OK;
}

/* "c=BASE64,r=NONCE,p=PROOF": where the proof's part begins, or NULL. */
static const char *final_check(const struct scram *s, const char *text, struct err *err) {
    uint8_t bound[sizeof s->gs2 + sizeof s->binding];
    char c[2 + sizeof bound * 2] = "c=";
    size_t header = strlen(s->gs2);
    memcpy(bound, s->gs2, header);
    memcpy(bound + header, s->binding, s->binding_bytes);
    base64(bound, header + s->binding_bytes, c + 2);
    size_t n = strlen(c);
    if (strncmp(text, c, n) != 0 || strncmp(text + n, ",r=", 3) != 0) {
        err_sql(err, "28000", "SCRAM channel binding check failed");
        return NULL;
    }
    const char *r = text + n + 3;
    size_t nonce = strlen(s->nonce);
    if (strncmp(r, s->nonce, nonce) != 0 || strncmp(r + nonce, ",p=", 3) != 0) {
        malformed(err, "Its nonce is another one.");
        return NULL;
    }
    return r + nonce;
}

enum rc scram_final(struct scram *s, const void *message, size_t bytes, char *ret, size_t cap, struct err *err) {
    char text[SCRAM_MESSAGE_BYTES_MAX], auth[3 * SCRAM_MESSAGE_BYTES_MAX], server64[BASE64_KEY_BYTES + 1];
    uint8_t proof[SCRAM_KEY_BYTES + 1], sign[SCRAM_KEY_BYTES], key[SCRAM_KEY_BYTES], hash[SCRAM_KEY_BYTES];
    if (!text_of(message, bytes, text, sizeof text))
        return malformed(err, "It is too long or no text.");
    const char *p = final_check(s, text, err);
    if (!p)
        return err ? err->rc : RC_PROTOCOL;
    if (unbase64(p + 3, strlen(p + 3), proof, sizeof proof) != SCRAM_KEY_BYTES)
        return malformed(err, "Its proof is not 32 bytes.");
    int n = snprintf(auth, sizeof auth, "%s,%s,%.*s", s->first_bare, s->server_first, (int)(p - text), text);
    if (!hmac(s->stored_key, auth, (size_t)n, sign))
        return err_set(err, RC_INTERNAL, "OpenSSL could not check the password");
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = proof[i] ^ sign[i];
    bool ok = sha256(key, sizeof key, hash) && CRYPTO_memcmp(hash, s->stored_key, sizeof hash) == 0;
    if (!ok || s->doomed) {
        err_set(err, RC_PERMISSION, "password authentication failed");
        err_state(err, "28P01");
        return RC_PERMISSION;
    }
    if (!hmac(s->server_key, auth, (size_t)n, sign))
        return err_set(err, RC_INTERNAL, "OpenSSL could not prove the password");
    base64(sign, sizeof sign, server64);
    n = snprintf(ret, cap, "v=%s", server64);
    return n > 0 && (size_t)n < cap ? RC_OK : err_set(err, RC_LIMIT, "no room for the answer");
}
