/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/pgwire/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/tap.h"

static const uint8_t salt[SCRAM_SALT_BYTES] = "sixteen bytes of";
static const uint8_t nonce[SCRAM_NONCE_BYTES] = "eighteen of nonces";

static void mac(const uint8_t *key, size_t n, const char *text, size_t len, uint8_t out[32]) {
    unsigned m = 32;
    CHECK(HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)text, len, out, &m));
}

/* The client's half, as RFC 5802 writes it down, from the password alone. */
static void client_final(const char *password, const char *first_bare, const char *server_first, char *ret, size_t cap,
                         char *ret_server, size_t server_cap) {
    char nonces[200], salt64[64], without[400], auth[1200], proof64[64];
    int iterations;
    uint8_t raw[64], salted[32], key[32], stored[32], sign[32], server[32];
    unsigned n = 32;
    CHECK(sscanf(server_first, "r=%199[^,],s=%63[^,],i=%d", nonces, salt64, &iterations) == 3);
    int bytes = EVP_DecodeBlock(raw, (unsigned char *)salt64, (int)strlen(salt64));
    while (bytes > 0 && salt64[strlen(salt64) - 1] == '=') {
        bytes--;
        salt64[strlen(salt64) - 1] = '\0';
    }
    CHECK(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), raw, bytes, iterations, EVP_sha256(), 32, salted));
    mac(salted, 32, "Client Key", 10, key);
    CHECK(EVP_Digest(key, 32, stored, &n, EVP_sha256(), NULL));
    snprintf(without, sizeof without, "c=biws,r=%s", nonces);
    int len = snprintf(auth, sizeof auth, "%s,%s,%s", first_bare, server_first, without);
    mac(stored, 32, auth, (size_t)len, sign);
    for (int i = 0; i < 32; i++)
        key[i] ^= sign[i];
    EVP_EncodeBlock((unsigned char *)proof64, key, 32);
    snprintf(ret, cap, "%s,p=%s", without, proof64);
    mac(salted, 32, "Server Key", 10, server);
    mac(server, 32, auth, (size_t)len, sign);
    EVP_EncodeBlock((unsigned char *)proof64, sign, 32);
    snprintf(ret_server, server_cap, "v=%s", proof64);
}

static enum rc login(const char *verifier, const char *password, struct err *err) {
    static const char first[] = "n,,n=,r=rOprNGfwEbeRWgbNEkqO";
    struct scram s;
    char answer[SCRAM_MESSAGE_BYTES_MAX], final[SCRAM_MESSAGE_BYTES_MAX], want[128];
    enum rc rc = scram_first(&s, verifier, salt, NULL, first, strlen(first), nonce, answer, sizeof answer, err);
    if (rc)
        return rc;
    client_final(password, first + 3, answer, final, sizeof final, want, sizeof want);
    rc = scram_final(&s, final, strlen(final), answer, sizeof answer, err);
    if (!rc)
        EQ_STR(answer, want); /* the server knows the password too */
    return rc;
}

static void passwords(void) {
    char verifier[SCRAM_VERIFIER_BYTES_MAX];
    struct err err;
    EQ_INT(scram_verifier("pencil", salt, verifier, sizeof verifier, &err), RC_OK);
    OK(scram_is_verifier(verifier));
    EQ_INT(login(verifier, "pencil", &err), RC_OK);
    EQ_INT(login(verifier, "Pencil", &err), RC_PERMISSION);
    EQ_STR(err_sqlstate(&err), "28P01");
    EQ_INT(login("", "pencil", &err), RC_PERMISSION);
    EQ_INT(login("md5abc", "pencil", &err), RC_PERMISSION);
    EQ_INT(scram_verifier("x", salt, verifier, 20, &err), RC_LIMIT);
}

/* What is no verifier is not taken for one. */
static void not_verifiers(void) {
    OK(!scram_is_verifier("SCRAM-SHA-256$4096:c2FsdA==$short:short"));
    OK(!scram_is_verifier("SCRAM-SHA-256$0:c2FsdA==$"));
    OK(!scram_is_verifier("SCRAM-SHA-256$-1:c2FsdA==$"));
    OK(!scram_is_verifier("secret"));
    OK(!scram_is_verifier(""));
}

static void malformed(void) {
    static const char *const firsts[] = {"",
                                         "n",
                                         "n,",
                                         "n,,",
                                         "n,,n=",
                                         "n,,n=x",
                                         "n,,r=abc",
                                         "x,,n=,r=a",
                                         "n,,n=,r=",
                                         "n,,n=,r=a,more",
                                         "p=tls-unique,,n=,r=a",
                                         "n,,n=,r=\x01"};
    struct scram s;
    char answer[SCRAM_MESSAGE_BYTES_MAX], big[2000];
    struct err err;
    for (size_t i = 0; i < ARRAY_LEN(firsts); i++)
        OKF(scram_first(&s, "", salt, NULL, firsts[i], strlen(firsts[i]), nonce, answer, sizeof answer, &err) != RC_OK,
            "%s", firsts[i]);
    memset(big, 'a', sizeof big);
    memcpy(big, "n,,n=,r=", 8);
    OK(scram_first(&s, "", salt, NULL, big, sizeof big, nonce, answer, sizeof answer, &err) != RC_OK);
    /* A man in the middle hid the offer; or the client asks for what it did not choose. */
    struct scram_channel channel = {.bytes = 32};
    OK(scram_first(&s, "", salt, &channel, "y,,n=,r=abc", 11, nonce, answer, sizeof answer, &err) == RC_SQL);
    EQ_STR(err_sqlstate(&err), "28000");
    const char *bound = "p=tls-server-end-point,,n=,r=abc";
    OK(scram_first(&s, "", salt, &channel, bound, strlen(bound), nonce, answer, sizeof answer, &err) == RC_PROTOCOL);
    OK(scram_first(&s, "", salt, NULL, bound, strlen(bound), nonce, answer, sizeof answer, &err) == RC_PROTOCOL);
    channel.plus = true;
    OK(scram_first(&s, "", salt, &channel, "n,,n=,r=abc", 11, nonce, answer, sizeof answer, &err) == RC_PROTOCOL);
    OK(scram_first(&s, "", salt, &channel, bound, strlen(bound), nonce, answer, sizeof answer, &err) == RC_OK);
    static const char *const finals[] = {"", "c=biws", "c=biws,r=other,p=AAAA", "c=AAAA,r=", "c=biws,r=,p="};
    for (size_t i = 0; i < ARRAY_LEN(finals); i++) {
        CHECK(scram_first(&s, "", salt, NULL, "n,,n=,r=abc", 11, nonce, answer, sizeof answer, &err) == RC_OK);
        enum rc rc = scram_final(&s, finals[i], strlen(finals[i]), answer, sizeof answer, &err);
        OKF(rc == RC_PROTOCOL || (rc == RC_SQL && strcmp(err_sqlstate(&err), "28000") == 0), "%s", finals[i]);
    }
}

int main(void) {
    RUN(passwords);
    RUN(not_verifiers);
    RUN(malformed);
    return tap_done();
}
