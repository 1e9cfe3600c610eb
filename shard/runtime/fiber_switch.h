/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fiber_switch.h: the switch between two stacks.
 *
 * Promise     fiber_switch(&from, to) saves the registers that a C call preserves on the present stack, stores its top in
 *             from, and goes on where `to` was saved. fiber_switch_prepare makes a `to` that enters fn(arg) on a new stack;
 *             fn must not return.
 * Why ours    swapcontext makes a system call for the signal mask at each switch (page sized difference at a million
 *             switches a second); Boost.Context would be right but brings 140 MB of headers. Where we have no assembly
 *             the C library's swapcontext serves.
 * Source      System V ABI, AMD64 supplement, section 3.2.1; AAPCS64, section 6.1.
 */
#ifndef MERIDIAN_RUNTIME_FIBER_SWITCH_H
#define MERIDIAN_RUNTIME_FIBER_SWITCH_H

#include "truetime/base/check.h"

typedef void fiber_entry(void *arg);

#if defined(__x86_64__) || defined(__aarch64__)

typedef void *fiber_sp;

void fiber_switch(fiber_sp *ret_from, fiber_sp to);
void fiber_switch_enter(void); /* assembly: calls the entry that fiber_switch_prepare left in registers */

/* stack_top: 16-byte aligned end of the stack. */
static inline fiber_sp fiber_switch_prepare(void *stack_top, void *stack_base, fiber_entry *fn, void *arg) {
    void **sp = stack_top;
    (void)stack_base;
#if defined(__x86_64__)
    /* popped in this order: r15 r14 r13 r12 rbx rbp, return address */
    *--sp = (void *)fiber_switch_enter; /* entered with the stack 16-byte aligned, as the ABI wants before its call */
    *--sp = NULL;                       /* rbp: ends the chain of frames for debuggers */
    *--sp = arg;                        /* rbx */
    *--sp = (void *)fn;                 /* r12 */
    *--sp = NULL;
    *--sp = NULL;
    *--sp = NULL;
#else
    sp -= 20; /* x19..x30, d8..d15 */
    for (int i = 0; i < 20; i++)
        sp[i] = NULL;
    sp[0] = arg;                         /* x19 */
    sp[1] = (void *)fn;                  /* x20 */
    sp[11] = (void *)fiber_switch_enter; /* x30 */
#endif
    return sp;
}

#else /* any other machine */

#include <ucontext.h>

typedef ucontext_t *fiber_sp;

static inline void fiber_switch(fiber_sp *ret_from, fiber_sp to) {
    ucontext_t here;
    *ret_from = &here;
    swapcontext(&here, to);
}

/* makecontext passes ints: the two pointers travel in halves. */
static inline void fiber_switch_thunk(unsigned fh, unsigned fl, unsigned ah, unsigned al) {
    fiber_entry *fn = (fiber_entry *)(((uintptr_t)fh << 16 << 16) | fl);
    fn((void *)(((uintptr_t)ah << 16 << 16) | al));
}

static inline fiber_sp fiber_switch_prepare(void *stack_top, void *stack_base, fiber_entry *fn, void *arg) {
    ucontext_t *c = (ucontext_t *)(((uintptr_t)stack_top - sizeof *c) & ~(uintptr_t)63);
    getcontext(c);
    c->uc_stack.ss_sp = stack_base;
    c->uc_stack.ss_size = (size_t)((char *)c - (char *)stack_base);
    c->uc_link = NULL;
    makecontext(c, (void (*)(void))fiber_switch_thunk, 4, (unsigned)((uintptr_t)fn >> 16 >> 16),
                (unsigned)(uintptr_t)fn, (unsigned)((uintptr_t)arg >> 16 >> 16), (unsigned)(uintptr_t)arg);
    return c;
}

#endif
#endif
