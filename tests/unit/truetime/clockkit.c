/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/truetime/clockkit.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNIT_FIRST = 100, UNIT_SPREAD = 140 };

void clockkit_remove_units(const int unit[CLOCKKIT_UNITS]) {
    for (int i = 0; i < CLOCKKIT_UNITS; i++) {
        int id = shmget(TT_SHM_KEY + unit[i], 0, 0);
        if (id >= 0)
            shmctl(id, IPC_RMID, NULL);
    }
}

/* A child watches a pipe: when this process ends, however it does, it removes the segments. */
void clockkit_take_units(int ret_unit[CLOCKKIT_UNITS]) {
    int pipe_fd[2];
    int unit = UNIT_FIRST + (int)(getpid() % UNIT_SPREAD);
    for (int i = 0; i < CLOCKKIT_UNITS; i++, unit++) {
        while (shmget(TT_SHM_KEY + unit, 0, 0) >= 0 || errno != ENOENT)
            unit++;
        CHECK(unit < TT_SHM_UNITS);
        ret_unit[i] = unit;
    }
    CHECK(pipe(pipe_fd) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char c;
        close(pipe_fd[1]);
        setpgid(0, 0); /* Ctrl-C is for the others */
        while (read(pipe_fd[0], &c, 1) > 0)
            ;
        clockkit_remove_units(ret_unit);
        _exit(0);
    }
    close(pipe_fd[0]);
    CHECK(fcntl(pipe_fd[1], F_SETFD, FD_CLOEXEC) == 0); /* stays open as long as we live */
}

static const char *find_chronyd(void) {
    static const char *const places[] = {"/usr/sbin/chronyd", "/usr/local/sbin/chronyd", "/sbin/chronyd"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static pid_t start_chronyd(const char *chronyd, const char *dir, int unit, const char *socket_path) {
    char conf[300], log[300];
    char names[1024];
    struct passwd pw, *me = NULL;
    if (getpwuid_r(geteuid(), &pw, names, sizeof names, &me))
        me = NULL;
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(conf, sizeof conf, "%s/conf", dir);
    FILE *f = fopen(conf, "w");
    CHECK(f);
    fprintf(f,
            "refclock SHM %d:perm=0600 refid GPS poll 0 dpoll -2 precision 5e-4\n"
            "bindcmdaddress %s\npidfile %s/pid\ncmdport 0\nport 0\nuser %s\nmaxclockerror 50\n",
            unit, socket_path, dir, me ? me->pw_name : "root");
    fclose(f);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        if (geteuid() == 0)
            execl(chronyd, chronyd, "-x", "-d", "-f", conf, (char *)NULL);
        else
            execl(chronyd, chronyd, "-x", "-U", "-d", "-f", conf, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static bool is_up(struct reactor *r, pid_t pid, const char *socket_path) {
    char addr[300];
    snprintf(addr, sizeof addr, "unix:%s", socket_path);
    for (int i = 0; i < CLOCKKIT_PATIENCE_S * 20; i++) {
        struct env_dgram *d;
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid)
            return false;
        if (env_dgram_open(reactor_env(r), addr, NULL, NULL, &d, NULL) == RC_OK) {
            env_dgram_close(d);
            return true;
        }
        if (fiber_sleep(r, 50000000) != RC_OK)
            break;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

const char *clockkit_chronyd(struct reactor *r, const char *dir, int unit, pid_t *ret_pid, char ret_socket[256]) {
    char own[200];
    const char *chronyd = find_chronyd();
    if (!chronyd)
        return "chronyd is not installed";
    snprintf(own, sizeof own, "%s/chrony", dir);
    if (mkdir(own, 0700) && errno != EEXIST)
        return "no directory for chronyd";
    snprintf(ret_socket, 256, "%s/c.sock", own);
    *ret_pid = start_chronyd(chronyd, own, unit, ret_socket);
    return is_up(r, *ret_pid, ret_socket) ? NULL : "chronyd does not start here";
}
