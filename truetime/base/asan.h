/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asan.h: what the sanitizers need to be told, in one place: poisoned memory and which build this is.
 * The stack switches are announced in shard/runtime/fiber.c.
 */
#ifndef MERIDIAN_BASE_ASAN_H
#define MERIDIAN_BASE_ASAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define ASAN_ENABLED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN_ENABLED 1
#endif
#endif
#ifndef ASAN_ENABLED
#define ASAN_ENABLED 0
#endif

#if defined(__SANITIZE_THREAD__)
#define TSAN_ENABLED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN_ENABLED 1
#endif
#endif
#ifndef TSAN_ENABLED
#define TSAN_ENABLED 0
#endif

#if ASAN_ENABLED
#include <sanitizer/asan_interface.h>
static inline void asan_poison(void *p, size_t n) {
    __asan_poison_memory_region(p, n);
}
static inline void asan_unpoison(void *p, size_t n) {
    __asan_unpoison_memory_region(p, n);
}
#else
static inline void asan_poison(void *p, size_t n) {
    (void)p, (void)n;
}
static inline void asan_unpoison(void *p, size_t n) {
    (void)p, (void)n;
}
#endif

#endif
