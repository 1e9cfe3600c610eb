/* SPDX-License-Identifier: Apache-2.0 */
/* clock_plot.c: scales, axes with round numbers, one polyline for each stretch that has an interval, a band of states. */
#include "sql/main/clock_plot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 440, LEFT = 84, RIGHT = 24, TOP = 76, BOTTOM = 92, BAND = 14, TICKS = 6 };

enum rc clock_plot_init(struct clock_plot *p, size_t max) {
    *p = (struct clock_plot){.max = max < 2 ? 2 : max};
    p->points = calloc(p->max, sizeof *p->points);
    return p->points ? RC_OK : RC_NOMEM;
}

void clock_plot_done(struct clock_plot *p) {
    free(p->points);
    p->points = NULL;
}

void clock_plot_add(struct clock_plot *p, struct clock_point point) {
    if (p->count == p->max) {
        for (size_t i = 0; 2 * i < p->count; i++)
            p->points[i] = p->points[2 * i];
        p->count = (p->count + 1) / 2;
    }
    p->points[p->count++] = point;
}

/* The next of 1, 2, 5, 10, ... at or above x. */
static double round_up(double x) {
    double p = pow(10, floor(log10(x)));
    double m = x / p;
    return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * p;
}

struct scale {
    double x_max, y_max;   /* s, ns */
    double x_step, y_step; /* between ticks */
    double y_unit;         /* ns in one unit of the labels */
    const char *y_name;
};

static double x_of(const struct scale *s, int64_t at_ns) {
    return LEFT + (double)at_ns / 1e9 / s->x_max * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct scale *s, double half_ns) {
    return HEIGHT - BOTTOM - half_ns / s->y_max * (HEIGHT - TOP - BOTTOM);
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Median and largest of the known ones; how many there are. */
static size_t summary(const struct clock_plot *p, int64_t *ret_median, int64_t *ret_max) {
    int64_t *v = calloc(p->count + 1, sizeof *v);
    size_t n = 0;
    *ret_median = *ret_max = 0;
    if (!v)
        return 0;
    for (size_t i = 0; i < p->count; i++)
        if (p->points[i].half_ns != INT64_MAX)
            v[n++] = p->points[i].half_ns;
    if (n) {
        qsort(v, n, sizeof *v, by_value);
        *ret_median = v[n / 2];
        *ret_max = v[n - 1];
    }
    free(v);
    return n;
}

static struct scale scale_of(const struct clock_plot *p, int64_t max_ns) {
    struct scale s = {.x_max = 1, .y_max = 1000};
    if (p->count > 1)
        s.x_max = fmax((double)p->points[p->count - 1].at_ns / 1e9, 0.001);
    s.x_step = round_up(s.x_max / (2 * TICKS));
    s.y_step = round_up(fmax((double)max_ns, 10) * 1.08 / TICKS);
    s.y_max = ceil(fmax((double)max_ns, 10) * 1.08 / s.y_step) * s.y_step;
    s.y_unit = s.y_max >= 2e9 ? 1e9 : s.y_max >= 2e6 ? 1e6 : s.y_max >= 2e3 ? 1e3 : 1;
    s.y_name = s.y_unit == 1e9 ? "s" : s.y_unit == 1e6 ? "ms" : s.y_unit == 1e3 ? "\xc2\xb5s" : "ns";
    return s;
}

static void put_text(FILE *f, const char *text) {
    for (; *text; text++)
        if (*text == '<' || *text == '>' || *text == '&' || *text == '"')
            fprintf(f, "&#%d;", *text);
        else
            fputc(*text, f);
}

static void put_head(FILE *f, const struct clock_plot *p) {
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
            "font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_text(f, p->title);
    fprintf(
        f, "</title>\n<style>\n"
           "  .paper{fill:#ffffff} .ink{fill:#1c2530} .soft{fill:#5c6875} .grid{stroke:#e3e7ec} .axis{stroke:#8a95a1}\n"
           "  .line{fill:none;stroke:#1663b5;stroke-width:1.6;stroke-linejoin:round} "
           ".area{fill:#1663b5;fill-opacity:.10}\n"
           "  .median{stroke:#1663b5;stroke-dasharray:5 4;stroke-opacity:.75}\n"
           "  .SYNC{fill:#2e9e5b} .ASSUMED{fill:#8e6fd1} .HOLDOVER{fill:#e3a008} .UNSYNCED{fill:#c9ced6} "
           ".FAULT{fill:#d64545}\n"
           "  @media (prefers-color-scheme:dark){.paper{fill:#12171d} .ink{fill:#e6ebf0} .soft{fill:#9aa6b2}\n"
           "    .grid{stroke:#26303a} .axis{stroke:#5c6875} .line{stroke:#6db1ff} .area{fill:#6db1ff} "
           ".median{stroke:#6db1ff}\n"
           "    .UNSYNCED{fill:#4a545f}}\n</style>\n");
    fprintf(f, "<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", WIDTH, HEIGHT);
    fprintf(f, "<text class=\"ink\" x=\"%d\" y=\"30\" font-size=\"18\" font-weight=\"600\">", LEFT);
    put_text(f, p->title);
    fprintf(f, "</text>\n<text class=\"soft\" x=\"%d\" y=\"52\">", LEFT);
    put_text(f, p->subtitle);
    fprintf(f, "</text>\n");
}

static void put_axes(FILE *f, const struct scale *s) {
    double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    for (int i = 0; i * s->y_step <= s->y_max * 1.0001; i++) {
        double y = y_of(s, i * s->y_step);
        fprintf(f, "<line class=\"grid\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, right, y, y);
        fprintf(f, "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", LEFT - 8, y + 4,
                i * s->y_step / s->y_unit);
    }
    for (int i = 0; i * s->x_step <= s->x_max * 1.0001; i++) {
        double x = x_of(s, (int64_t)(i * s->x_step * 1e9));
        fprintf(f, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x, bottom,
                bottom + 4);
        fprintf(f, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>\n", x,
                bottom + BAND + 24, i * s->x_step);
    }
    fprintf(f, "<line class=\"axis\" x1=\"%d\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, right, bottom, bottom);
    fprintf(f, "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">time, s</text>\n", (LEFT + right) / 2,
            HEIGHT - 34);
    fprintf(
        f,
        "<text class=\"soft\" transform=\"translate(22 %.1f) rotate(-90)\" text-anchor=\"middle\">half-width of the "
        "interval, %s</text>\n",
        (TOP + bottom) / 2, s->y_name);
}

/* One stretch of known widths, as a line or, closed along the axis, as an area. */
static void put_stretch(FILE *f, const struct scale *s, const struct clock_plot *p, size_t from, size_t to, bool area) {
    double bottom = HEIGHT - BOTTOM;
    fprintf(f, area ? "<polygon class=\"area\" points=\"%.1f,%.1f" : "<polyline class=\"line\" points=\"",
            x_of(s, p->points[from].at_ns), bottom);
    for (size_t i = from; i < to; i++)
        fprintf(f, "%s%.1f,%.1f", i > from || area ? " " : "", x_of(s, p->points[i].at_ns),
                y_of(s, (double)p->points[i].half_ns));
    if (area)
        fprintf(f, " %.1f,%.1f", x_of(s, p->points[to - 1].at_ns), bottom);
    fprintf(f, "\"/>\n");
}

static void put_curve(FILE *f, const struct scale *s, const struct clock_plot *p) {
    for (size_t i = 0; i < p->count;) {
        size_t from = i;
        if (p->points[i++].half_ns == INT64_MAX)
            continue;
        while (i < p->count && p->points[i].half_ns != INT64_MAX)
            i++;
        put_stretch(f, s, p, from, i, true);
        put_stretch(f, s, p, from, i, false);
    }
}

static void put_states(FILE *f, const struct scale *s, const struct clock_plot *p) {
    static const enum tt_state shown[] = {TT_SYNC, TT_ASSUMED, TT_HOLDOVER, TT_UNSYNCED, TT_FAULT};
    double y = HEIGHT - BOTTOM + 5, x = LEFT;
    bool seen[TT_STATES] = {false};
    for (size_t i = 0, from = 0; i < p->count; i++) {
        seen[p->points[i].state] = true;
        if (i + 1 < p->count && p->points[i + 1].state == p->points[from].state)
            continue;
        double x0 = x_of(s, p->points[from].at_ns), x1 = x_of(s, p->points[i + 1 < p->count ? i + 1 : i].at_ns);
        fprintf(f, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"/>\n",
                tt_state_name(p->points[from].state), x0, y, fmax(x1 - x0, 0.5), BAND - 5);
        from = i + 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        if (seen[shown[i]]) {
            fprintf(f, "<rect class=\"%s\" x=\"%.1f\" y=\"%d\" width=\"12\" height=\"12\" rx=\"2\"/>\n",
                    tt_state_name(shown[i]), x, HEIGHT - 24);
            fprintf(f, "<text class=\"soft\" x=\"%.1f\" y=\"%d\">%s</text>\n", x + 18, HEIGHT - 13,
                    tt_state_name(shown[i]));
            x += 36 + 9.0 * (double)strlen(tt_state_name(shown[i]));
        }
}

enum rc clock_plot_write(const struct clock_plot *p, const char *path, struct err *err) {
    int64_t median, max;
    char median_text[32], max_text[32];
    size_t known = summary(p, &median, &max);
    struct scale s = scale_of(p, max);
    FILE *f = fopen(path, "w");
    if (!f)
        return err_errno(err, errno, "write %s", path);
    put_head(f, p);
    put_axes(f, &s);
    put_curve(f, &s, p);
    if (known) {
        double y = y_of(&s, (double)median);
        fprintf(f, "<line class=\"median\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", LEFT, WIDTH - RIGHT, y, y);
        fprintf(f, "<text class=\"ink\" x=\"%d\" y=\"52\" text-anchor=\"end\">median %s, largest %s</text>\n",
                WIDTH - RIGHT, tt_duration_format(median, median_text, sizeof median_text),
                tt_duration_format(max, max_text, sizeof max_text));
    } else {
        fprintf(f, "<text class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">there was no interval</text>\n",
                WIDTH / 2, HEIGHT / 2);
    }
    put_states(f, &s, p);
    fprintf(f, "</svg>\n");
    bool bad = ferror(f) != 0;
    if (fclose(f) || bad)
        return err_errno(err, errno ? errno : EIO, "write %s", path);
    return RC_OK;
}
